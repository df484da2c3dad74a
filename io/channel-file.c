/*
 * Channel over a regular file or block device: has positions.
 *
 * Belongs to no thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "io/channel-private.h"
#include "util/util.h"

static ssize_t file_pread(IOChannel *ioc, void *buf, size_t len, uint64_t offset, Error **errp)
{
    ssize_t r;

    if (io_channel_check_shut(ioc, IO_SHUTDOWN_READ, errp)) {
        return -1;
    }
    do {
        r = pread(ioc->fd_in, buf, len, offset);
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        error_setg_errno(errp, errno, "%s: cannot read at offset %" PRIu64, ioc->name, offset);
    }
    return r;
}

static ssize_t file_pwrite(IOChannel *ioc, const void *buf, size_t len, uint64_t offset,
                           Error **errp)
{
    ssize_t r;

    if (io_channel_check_shut(ioc, IO_SHUTDOWN_WRITE, errp)) {
        return -1;
    }
    do {
        r = pwrite(ioc->fd_out, buf, len, offset);
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        error_setg_errno(errp, errno, "%s: cannot write at offset %" PRIu64, ioc->name, offset);
    }
    return r;
}

static int64_t file_seek(IOChannel *ioc, int64_t offset, int whence, Error **errp)
{
    off_t r = lseek(ioc->fd_in >= 0 ? ioc->fd_in : ioc->fd_out, offset, whence);

    if (r < 0) {
        error_setg_errno(errp, errno, "%s: cannot seek to %" PRId64, ioc->name, offset);
    }
    return r;
}

static const IOChannelClass file_class = {
    .name = "file",
    .seekable = true,
    .readv = io_channel_fd_readv,
    .writev = io_channel_fd_writev,
    .pread = file_pread,
    .pwrite = file_pwrite,
    .seek = file_seek,
    .close = io_channel_fd_close,
    .free = io_channel_fd_free,
};

IOChannel *io_channel_file_new_fd(int fd)
{
    IOChannel *ioc = g_new0(IOChannel, 1);
    int mode = fcntl(fd, F_GETFL) & O_ACCMODE;

    io_channel_init(ioc, &file_class, "file");
    ioc->fd_in = mode == O_WRONLY ? -1 : fd;
    ioc->fd_out = mode == O_RDONLY ? -1 : fd;
    return ioc;
}

IOChannel *io_channel_file_new(const char *path, int flags, int mode, Error **errp)
{
    int fd = open(path, flags | O_CLOEXEC, mode);

    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot open '%s'", path);
        return NULL;
    }
    return io_channel_file_new_fd(fd);
}
