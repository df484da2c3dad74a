/*
 * Channels of a migration that are files: by name, or out of a set of descriptors.
 *
 * Belongs to whoever opens one: the migration thread, the incoming thread, the main thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "migration/channel.h"
#include "monitor/monitor.h"
#include "util/util.h"

/* A descriptor out of a set may stand anywhere; what is no file stands nowhere. */
static bool go_to_offset(IOChannel *ioc, uint64_t offset, Error **errp)
{
    return io_channel_seek(ioc, offset, SEEK_SET, offset ? errp : NULL) >= 0 || !offset;
}

IOChannel *mig_file_open_out(const MigrateAddress *a, Error **errp)
{
    int fd = ferry_open(a->filename, O_CREAT | O_WRONLY | O_CLOEXEC, 0600, errp);
    g_autoptr(IOChannel) ioc = NULL;
    struct stat st;

    if (fd < 0) {
        return NULL;
    }
    ioc = io_channel_file_new_fd(fd);
    /* Only if there is something: ext4 writes out at close what was ever cut to nothing. */
    if ((fstat(fd, &st) < 0 || (uint64_t)st.st_size > a->offset) &&
        ftruncate(fd, a->offset) < 0 && errno != EINVAL) {
        error_setg_errno(errp, errno, "cannot cut '%s' to %" G_GINT64_MODIFIER "u bytes",
                         a->filename, a->offset);
        return NULL;
    }
    return go_to_offset(ioc, a->offset, errp) ? g_steal_pointer(&ioc) : NULL;
}

IOChannel *mig_file_open_in(const MigrateAddress *a, Error **errp)
{
    int fd = ferry_open(a->filename, O_RDONLY | O_CLOEXEC, 0, errp);
    g_autoptr(IOChannel) ioc = NULL;

    if (fd < 0) {
        return NULL;
    }
    ioc = io_channel_file_new_fd(fd);
    return go_to_offset(ioc, a->offset, errp) ? g_steal_pointer(&ioc) : NULL;
}

/* The descriptor of a channel that is written / read. */
static int file_fd(const IOChannel *ioc, bool writing)
{
    return writing ? ioc->fd_out : ioc->fd_in;
}

bool mig_file_has_positions(const IOChannel *ioc, bool writing, Error **errp)
{
    int fd = file_fd(ioc, writing);
    struct stat st;

    if (fd < 0) {
        error_setg(errp, "the file is not open for %s", writing ? "writing" : "reading");
        return false;
    }
    if (!ioc->klass->seekable || fstat(fd, &st) < 0 ||
        (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
        error_setg(errp, "mapped-ram needs a file or a block device, which has positions");
        return false;
    }
    if (fcntl(fd, F_GETFL) & O_DIRECT) {
        error_setg(errp, "the descriptor is open with O_DIRECT: small records need another one "
                   "without it");
        return false;
    }
    if (writing && fcntl(fd, F_GETFL) & O_APPEND) {
        error_setg(errp, "the descriptor is open with O_APPEND, so pages would not come to their "
                   "places");
        return false;
    }
    return true;
}

/* What file: and a set of descriptors say is the same file. */
static bool same_file(int a, int b)
{
    struct stat sa, sb;

    return !fstat(a, &sa) && !fstat(b, &sb) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

IOChannel *mig_file_open_direct(const MigrateAddress *a, const IOChannel *main, bool writing,
                                Error **errp)
{
    int flags = (writing ? O_WRONLY : O_RDONLY) | O_CLOEXEC | O_DIRECT;
    int fd;

    if (a->transport != MIG_TRANSPORT_FILE) {
        g_autofree char *what = migrate_address_to_str(a);

        error_setg(errp, "direct-io needs a second descriptor of the file, and %s is only one: use "
                   "file:PATH, or a set of two (/dev/fdset/N)", what);
        return NULL;
    }
    fd = ferry_open(a->filename, flags, 0, errp);
    if (fd < 0) {
        error_prefix(errp, "direct-io is not possible here: ");
        return NULL;
    }
    if (!same_file(fd, file_fd(main, writing))) {
        error_setg(errp, "direct-io: '%s' was two different files", a->filename);
        close(fd);
        return NULL;
    }
    return io_channel_file_new_fd(fd);
}
