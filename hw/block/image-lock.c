/*
 * Locks on image files, so that two machines do not write to one image.  Machine lock.
 *
 * Open-file-description locks on single bytes, as other emulators take them (observed in
 * /proc/locks): a read lock on byte 100 says "reads", on 101 "writes", on 201 "does not bear
 * another writer".  Whoever wants to write must find 201 free, and who bears no writer 101.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "hw/block/block-private.h"

#define BYTE_READS 100
#define BYTE_WRITES 101
#define BYTE_NO_WRITERS 201

static bool set_lock(int fd, short type, off_t byte)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

/* Does somebody else hold the byte?  A file system without locks says no. */
static bool held_by_other(int fd, off_t byte)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

void image_unlock(int fd)
{
    set_lock(fd, F_UNLCK, BYTE_READS);
    set_lock(fd, F_UNLCK, BYTE_WRITES);
    set_lock(fd, F_UNLCK, BYTE_NO_WRITERS);
}

bool image_lock(int fd, const char *filename, bool write, bool share_writers, Error **errp)
{
    const char *what = NULL;

    /* Say first what we do, then look at what others do: of two that meet at most one goes on. */
    set_lock(fd, F_RDLCK, BYTE_READS);
    if (write) {
        set_lock(fd, F_RDLCK, BYTE_WRITES);
    }
    if (!share_writers) {
        set_lock(fd, F_RDLCK, BYTE_NO_WRITERS);
    }
    if (write && held_by_other(fd, BYTE_NO_WRITERS)) {
        what = "\"write\"";
    } else if (!share_writers && held_by_other(fd, BYTE_WRITES)) {
        what = "shared \"write\"";
    }
    if (what) {
        image_unlock(fd);
        error_setg(errp, "Failed to get %s lock: is another process using the image [%s]?", what,
                   filename);
    }
    return !what;
}
