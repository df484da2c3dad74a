/*
 * Backends "file", "pipe" and "null".  Thread of the chardev's context.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>

#include "chardev/backend.h"
#include "monitor/monitor.h"
#include "util/options.h"
#include "util/util.h"

/* path=FILE (output), append=on|off, input-path=FILE; /dev/fdset/N works for both. */
static bool file_open(Chardev *c, JsonObject *opts, Error **errp)
{
    g_autofree char *path = NULL;
    g_autofree char *input = NULL;
    bool append = false;
    AutoFd out = -1, in = -1;

    if (!options_take_str(opts, "path", &path, errp) ||
        !options_take_str(opts, "input-path", &input, errp) ||
        !options_take_bool(opts, "append", &append, errp)) {
        return false;
    }
    if (!path) {
        error_setg(errp, "no file is given (path=FILE)");
        return false;
    }
    out = ferry_open(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), 0666, errp);
    if (out < 0) {
        return false;
    }
    if (input) {
        in = ferry_open(input, O_RDONLY, 0, errp);
        if (in < 0) {
            close_fd(&out);
            return false;
        }
    }
    chardev_io_start(c, in, out);
    return true;
}

/* The end of input-path is no reason to stop writing. */
static void file_eof(Chardev *c)
{
    g_mutex_lock(&c->lock);
    chardev_source_drop(&c->in);
    close_fd(&c->fd_in);
    g_mutex_unlock(&c->lock);
}

const ChardevClass chardev_file = {
    .name = "file",
    .size = sizeof(Chardev),
    .open = file_open,
    .eof = file_eof,
};

/* path=P: P.in and P.out when there are such FIFOs, else P for both directions. */
static bool pipe_open(Chardev *c, JsonObject *opts, Error **errp)
{
    g_autofree char *path = NULL;
    g_autofree char *in_path = NULL;
    g_autofree char *out_path = NULL;
    int in, out;

    if (!options_take_str(opts, "path", &path, errp)) {
        return false;
    }
    if (!path) {
        error_setg(errp, "no pipe is given (path=PATH)");
        return false;
    }
    in_path = g_strconcat(path, ".in", NULL);
    out_path = g_strconcat(path, ".out", NULL);
    in = open(in_path, O_RDWR | O_CLOEXEC);
    out = open(out_path, O_RDWR | O_CLOEXEC);
    if (in < 0 || out < 0) {
        close_fd(&in);
        close_fd(&out);
        in = out = open(path, O_RDWR | O_CLOEXEC);
        if (in < 0) {
            error_setg_errno(errp, errno, "cannot open '%s' and '%s', nor '%s'", in_path,
                             out_path, path);
            return false;
        }
    }
    chardev_io_start(c, in, out);
    return true;
}

const ChardevClass chardev_pipe = {
    .name = "pipe",
    .size = sizeof(Chardev),
    .open = pipe_open,
};

static bool null_open(Chardev *c, JsonObject *opts, Error **errp)
{
    chardev_set_connected(c, true);
    return true;
}

static size_t null_write(Chardev *c, const void *buf, size_t len)
{
    return len;
}

const ChardevClass chardev_null = {
    .name = "null",
    .size = sizeof(Chardev),
    .open = null_open,
    .write = null_write,
};
