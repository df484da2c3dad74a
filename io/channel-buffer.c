/*
 * Channel in memory: what is written can be read again.
 *
 * Belongs to one thread at a time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "io/channel-private.h"
#include "util/util.h"

typedef struct IOChannelBuffer {
    IOChannel base;
    GByteArray *data;
    size_t pos; /* of the next read */
} IOChannelBuffer;

static ssize_t buffer_readv(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    IOChannelBuffer *b = (IOChannelBuffer *)ioc;
    size_t done = 0;

    if (io_channel_check_shut(ioc, IO_SHUTDOWN_READ, errp)) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        size_t part = MIN(iov[i].iov_len, b->data->len - b->pos);
        if (part) { /* an empty array has no data */
            memcpy(iov[i].iov_base, b->data->data + b->pos, part);
        }
        b->pos += part;
        done += part;
    }
    return done;
}

static ssize_t buffer_writev(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp)
{
    IOChannelBuffer *b = (IOChannelBuffer *)ioc;
    size_t done = 0;

    if (io_channel_check_shut(ioc, IO_SHUTDOWN_WRITE, errp)) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        g_byte_array_append(b->data, iov[i].iov_base, iov[i].iov_len);
        done += iov[i].iov_len;
    }
    return done;
}

static void buffer_free(IOChannel *ioc)
{
    g_byte_array_unref(((IOChannelBuffer *)ioc)->data);
}

static const IOChannelClass buffer_class = {
    .name = "buffer",
    .readv = buffer_readv,
    .writev = buffer_writev,
    .free = buffer_free,
};

IOChannel *io_channel_buffer_new(const void *data, size_t len)
{
    IOChannelBuffer *b = g_new0(IOChannelBuffer, 1);

    io_channel_init(&b->base, &buffer_class, "buffer");
    b->data = g_byte_array_new();
    if (len) {
        g_byte_array_append(b->data, data, len);
    }
    return &b->base;
}

const void *io_channel_buffer_data(IOChannel *ioc, size_t *ret_len)
{
    IOChannelBuffer *b = (IOChannelBuffer *)ioc;

    g_assert(ioc->klass == &buffer_class);
    *ret_len = b->data->len - b->pos;
    return b->data->data + b->pos;
}
