/*
 * Streams: buffered big-endian IO over a channel or in memory.
 *
 * Belongs to the one thread that reads or writes the stream at a time; the error, the
 * byte count and shutdown may be used from any thread.
 *
 * Output keeps a queue of iovecs.  Small puts are copied into a buffer that some of the
 * iovecs point into; guest pages are pointed at where they are.  One writev() takes the
 * whole queue.  Input has a buffer for the small things; large reads and
 * stream_get_iov() bypass it when it is empty.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "migration/stream-internal.h"

#include <inttypes.h>
#include <string.h>

#include "migration/wire.h"
#include "system/machine-lock.h"
#include "util/util.h"

#define OUT_BUF (64 * KiB)
#define OUT_IOV 512
#define OUT_QUEUE_MAX (512 * KiB) /* written out at this size: stays in the CPU's cache */
#define IN_BUF (256 * KiB)
#define PEEK_MAX 512

struct Stream {
    /* Fixed after creation. */
    IOChannel *ioc; /* NULL: memory */
    bool output;
    char *name;

    /* Any thread. */
    GMutex error_lock;
    int error;      /* atomic; 0 or negative errno, set once under error_lock */
    char *message;  /* error_lock */
    uint64_t bytes; /* atomic; written by the owner only */
    uint64_t skipped; /* atomic; by seeks, modulo 2^64 */

    /* Output. */
    struct iovec *iov;
    unsigned n_iov;
    size_t queued;    /* bytes in iov[] */
    uint8_t *out;     /* OUT_BUF bytes that iov[] may point into */
    size_t out_len;
    GByteArray *mem;  /* memory output */

    /* Input: in[in_pos..in_len) is not consumed yet. */
    uint8_t *in;
    size_t in_pos, in_len, in_cap;
    GBytes *in_owned; /* memory input that keeps its bytes alive */
    bool in_fixed;    /* memory input: `in` is not ours and there is no more */
    bool in_ended;    /* the channel said end of stream */
    StreamWaitFn *wait; /* before each read; NULL: none */
    void *wait_opaque;

    /* Rate limit of the writer. */
    uint64_t window_limit; /* bytes, 0: none */
    uint64_t window_start_bytes;
    uint64_t window_extra;
    int64_t window_start_us;
};

static Stream *stream_alloc(IOChannel *ioc, bool output, const char *name)
{
    Stream *s = g_new0(Stream, 1);

    s->ioc = ioc ? io_channel_ref(ioc) : NULL;
    s->output = output;
    s->name = g_strdup(name);
    g_mutex_init(&s->error_lock);
    return s;
}

Stream *stream_new_output(IOChannel *ioc)
{
    Stream *s = stream_alloc(ioc, true, "stream");

    s->iov = g_new(struct iovec, OUT_IOV);
    s->out = g_malloc(OUT_BUF);
    return s;
}

Stream *stream_new_output_memory(void)
{
    Stream *s = stream_alloc(NULL, true, "memory");

    s->mem = g_byte_array_new();
    return s;
}

Stream *stream_new_input(IOChannel *ioc)
{
    Stream *s = stream_alloc(ioc, false, "stream");

    s->in_cap = IN_BUF;
    s->in = g_malloc(IN_BUF);
    return s;
}

Stream *stream_new_input_memory(const void *data, size_t len)
{
    Stream *s = stream_alloc(NULL, false, "memory");

    s->in_fixed = true;
    s->in = (uint8_t *)data;
    s->in_len = s->in_cap = len;
    return s;
}

Stream *stream_new_input_gbytes(GBytes *bytes)
{
    gsize len;
    const void *data = g_bytes_get_data(bytes, &len);
    Stream *s = stream_new_input_memory(data, len);

    s->in_owned = g_bytes_ref(bytes);
    return s;
}

void stream_free(Stream *s)
{
    if (!s) {
        return;
    }
    io_channel_unref(s->ioc);
    g_free(s->name);
    g_free(s->message);
    g_mutex_clear(&s->error_lock);
    g_free(s->iov);
    g_free(s->out);
    if (s->mem) {
        g_byte_array_unref(s->mem);
    }
    if (!s->in_fixed) {
        g_free(s->in);
    }
    if (s->in_owned) {
        g_bytes_unref(s->in_owned);
    }
    g_free(s);
}

void stream_set_name(Stream *s, const char *name)
{
    g_free(s->name);
    s->name = g_strdup(name);
}

IOChannel *stream_channel(const Stream *s)
{
    return s->ioc;
}

/* Errors and counters: any thread. */

static bool stream_ok(const Stream *s)
{
    return G_LIKELY(__atomic_load_n(&s->error, __ATOMIC_RELAXED) == 0);
}

uint64_t stream_bytes(const Stream *s)
{
    return __atomic_load_n(&s->bytes, __ATOMIC_RELAXED);
}

uint64_t stream_offset(const Stream *s)
{
    return stream_bytes(s) + __atomic_load_n(&s->skipped, __ATOMIC_RELAXED);
}

static void count_bytes(Stream *s, uint64_t n)
{
    __atomic_store_n(&s->bytes, s->bytes + n, __ATOMIC_RELAXED);
}

static void error_store(Stream *s, int err, const char *message)
{
    g_mutex_lock(&s->error_lock);
    if (!s->error) {
        s->message = g_strdup_printf("%s (at offset %" PRIu64 " of the %s)", message,
                                     stream_offset(s), s->name);
        __atomic_store_n(&s->error, err < 0 ? err : -EIO, __ATOMIC_RELEASE);
    }
    g_mutex_unlock(&s->error_lock);
}

void stream_error_set(Stream *s, int err, const char *fmt, ...)
{
    g_autofree char *message = NULL;
    va_list ap;

    va_start(ap, fmt);
    message = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_store(s, err, message);
}

void stream_error_take(Stream *s, int err, Error *error)
{
    error_store(s, err, error_get_pretty(error));
    g_error_free(error);
}

int stream_error(Stream *s, Error **errp)
{
    int err = __atomic_load_n(&s->error, __ATOMIC_ACQUIRE);

    if (err && errp) {
        g_mutex_lock(&s->error_lock);
        error_setg(errp, "%s", s->message);
        g_mutex_unlock(&s->error_lock);
    }
    return err;
}

void stream_shutdown(Stream *s)
{
    if (s->ioc) {
        io_channel_shutdown(s->ioc, IO_SHUTDOWN_BOTH, NULL);
    } else {
        stream_error_set(s, -ECANCELED, "the %s was shut down", s->name);
    }
}

/* Output. */

bool stream_flush(Stream *s)
{
    Error *err = NULL;

    if (s->n_iov && stream_ok(s) && !io_channel_writev_all(s->ioc, s->iov, s->n_iov, &err)) {
        stream_error_take(s, -EIO, err);
    }
    s->n_iov = 0;
    s->queued = 0;
    s->out_len = 0;
    return stream_ok(s);
}

/* Put len bytes at p into the queue, which has room for one more entry afterwards. */
static void queue_iov(Stream *s, const void *p, size_t len)
{
    struct iovec *last = s->n_iov ? &s->iov[s->n_iov - 1] : NULL;

    if (last && (const char *)last->iov_base + last->iov_len == p) {
        last->iov_len += len;
    } else {
        s->iov[s->n_iov++] = (struct iovec){ (void *)p, len };
    }
    s->queued += len;
    count_bytes(s, len);
    if (s->n_iov == OUT_IOV || s->queued >= OUT_QUEUE_MAX) {
        stream_flush(s);
    }
}

void stream_put_bytes(Stream *s, const void *buf, size_t len)
{
    if (!stream_ok(s) || !len) {
        return;
    }
    if (s->mem) {
        g_byte_array_append(s->mem, buf, len);
        count_bytes(s, len);
        return;
    }
    if (len > OUT_BUF - s->out_len) {
        if (len > OUT_BUF / 2) {
            /* Not worth a copy: from where it is, at once. */
            queue_iov(s, buf, len);
            stream_flush(s);
            return;
        }
        if (!stream_flush(s)) {
            return;
        }
    }
    uint8_t *p = s->out + s->out_len;
    memcpy(p, buf, len);
    s->out_len += len;
    queue_iov(s, p, len);
}

void stream_put_page_ref(Stream *s, const void *p, size_t len)
{
    if (s->mem) {
        stream_put_bytes(s, p, len);
    } else if (stream_ok(s) && len) {
        queue_iov(s, p, len);
    }
}

size_t stream_queued(const Stream *s)
{
    return s->queued;
}

void stream_put_u8(Stream *s, uint8_t v)
{
    stream_put_bytes(s, &v, 1);
}

void stream_put_be16(Stream *s, uint16_t v)
{
    uint8_t b[2];

    wire_put_be16(b, v);
    stream_put_bytes(s, b, sizeof(b));
}

void stream_put_be32(Stream *s, uint32_t v)
{
    uint8_t b[4];

    wire_put_be32(b, v);
    stream_put_bytes(s, b, sizeof(b));
}

void stream_put_be64(Stream *s, uint64_t v)
{
    uint8_t b[8];

    wire_put_be64(b, v);
    stream_put_bytes(s, b, sizeof(b));
}

void stream_put_str8(Stream *s, const char *str)
{
    size_t len = strlen(str);

    if (len > WIRE_STR8_MAX) {
        stream_error_set(s, -EINVAL, "the name '%.32s...' has more than %d bytes", str,
                         WIRE_STR8_MAX);
        return;
    }
    stream_put_u8(s, len);
    stream_put_bytes(s, str, len);
}

const void *stream_memory_data(const Stream *s, size_t *ret_len)
{
    g_assert(s->mem);
    *ret_len = s->mem->len;
    return s->mem->data;
}

bool stream_close(Stream *s, Error **errp)
{
    bool ok = !s->output || stream_flush(s);

    if (!ok) {
        stream_error(s, errp);
        errp = NULL;
    }
    if (s->ioc && !io_channel_close(s->ioc, errp)) {
        ok = false;
    }
    return ok;
}

/* Input. */

size_t stream_buffered(const Stream *s)
{
    return s->in_len - s->in_pos;
}

const uint8_t *stream_buffered_data(const Stream *s, size_t *ret_len)
{
    *ret_len = stream_buffered(s);
    return s->in + s->in_pos;
}

/* Move what is left to the front so that `want` bytes fit behind in_pos. */
static void make_room(Stream *s, size_t want)
{
    if (s->in_pos == s->in_len) {
        s->in_pos = s->in_len = 0;
    }
    if (s->in_pos + want > s->in_cap) {
        memmove(s->in, s->in + s->in_pos, stream_buffered(s));
        s->in_len -= s->in_pos;
        s->in_pos = 0;
        if (want > s->in_cap) {
            s->in_cap = want;
            s->in = g_realloc(s->in, s->in_cap);
        }
    }
}

/*
 * Device state is loaded under the machine lock; while bytes are waited for, the lock is
 * free, so that a source that stalls does not stall the monitors here.
 */
static ssize_t read_channel(Stream *s, const struct iovec *iov, size_t n, Error **errp)
{
    bool locked = machine_locked();
    ssize_t r;

    if (locked) {
        machine_unlock();
    }
    if (!s->wait) {
        r = io_channel_readv(s->ioc, iov, n, errp);
    } else {
        while ((r = io_channel_try_readv(s->ioc, iov, n, errp)) == IO_WOULD_BLOCK) {
            s->wait(s->wait_opaque, s->ioc);
        }
    }
    if (locked) {
        machine_lock();
    }
    return r;
}

void stream_set_wait(Stream *s, StreamWaitFn *wait, void *opaque)
{
    s->wait = wait;
    s->wait_opaque = opaque;
}

/* One read behind what is buffered.  False at the end of the stream (no error) or on error. */
static bool read_more(Stream *s, bool block)
{
    Error *err = NULL;
    struct iovec iov = { s->in + s->in_len, s->in_cap - s->in_len };
    ssize_t r = block ? read_channel(s, &iov, 1, &err)
                      : io_channel_try_readv(s->ioc, &iov, 1, &err);

    if (r == IO_WOULD_BLOCK) {
        return true;
    }
    if (r < 0) {
        stream_error_take(s, -EIO, err);
        return false;
    }
    if (r == 0) {
        s->in_ended = true;
        return false;
    }
    s->in_len += r;
    return true;
}

void stream_top_up(Stream *s)
{
    if (s->in_pos == s->in_len) {
        s->in_pos = s->in_len = 0;
    }
    if (!s->in_fixed && !s->in_ended && stream_ok(s) && s->in_len < s->in_cap) {
        read_more(s, false);
    }
}

/* Have `want` bytes in the buffer.  False at the end of the stream (no error) or on error. */
static bool fill(Stream *s, size_t want)
{
    if (stream_buffered(s) >= want) {
        return stream_ok(s);
    }
    if (s->in_fixed || s->in_ended || !stream_ok(s)) {
        return false;
    }
    make_room(s, want);
    while (stream_buffered(s) < want) {
        if (!read_more(s, true)) {
            return false;
        }
    }
    return stream_ok(s);
}

static void set_ended(Stream *s, size_t wanted)
{
    stream_error_set(s, -EIO, "unexpected end: %zu bytes wanted, %zu there", wanted,
                     stream_buffered(s));
}

/* Read into the caller's memory, past the buffer. */
static bool get_direct(Stream *s, uint8_t *p, size_t len)
{
    size_t part = stream_buffered(s);
    Error *err = NULL;
    int r;

    memcpy(p, s->in + s->in_pos, part);
    r = s->in_ended ? 0 : io_channel_read_all(s->ioc, p + part, len - part, &err);
    if (r == 0) {
        s->in_ended = true;
        set_ended(s, len);
        return false;
    }
    s->in_pos = s->in_len = 0;
    if (r < 0) {
        stream_error_take(s, -EIO, err);
        return false;
    }
    count_bytes(s, len);
    return true;
}

bool stream_get_bytes(Stream *s, void *buf, size_t len)
{
    if (stream_buffered(s) < len && stream_ok(s)) {
        if (!s->in_fixed && len >= IN_BUF) {
            if (get_direct(s, buf, len)) {
                return true;
            }
        } else if (!fill(s, len)) {
            set_ended(s, len);
        }
    }
    if (!stream_ok(s)) {
        memset(buf, 0, len);
        return false;
    }
    memcpy(buf, s->in + s->in_pos, len);
    s->in_pos += len;
    count_bytes(s, len);
    return true;
}

uint8_t stream_get_u8(Stream *s)
{
    uint8_t v;

    stream_get_bytes(s, &v, 1);
    return v;
}

uint16_t stream_get_be16(Stream *s)
{
    uint8_t b[2];

    stream_get_bytes(s, b, sizeof(b));
    return wire_get_be16(b);
}

uint32_t stream_get_be32(Stream *s)
{
    uint8_t b[4];

    stream_get_bytes(s, b, sizeof(b));
    return wire_get_be32(b);
}

uint64_t stream_get_be64(Stream *s)
{
    uint8_t b[8];

    stream_get_bytes(s, b, sizeof(b));
    return wire_get_be64(b);
}

bool stream_get_str8(Stream *s, char ret_str[256])
{
    uint8_t len = stream_get_u8(s);

    if (!stream_get_bytes(s, ret_str, len)) {
        ret_str[0] = 0;
        return false;
    }
    ret_str[len] = 0;
    if (memchr(ret_str, 0, len)) {
        stream_error_set(s, -EINVAL, "a name has a zero byte in it");
        ret_str[0] = 0;
        return false;
    }
    return true;
}

size_t stream_peek(Stream *s, void *buf, size_t len, size_t offset)
{
    size_t have;

    g_assert(len <= PEEK_MAX && offset <= PEEK_MAX);
    if (!fill(s, offset + len) && !stream_ok(s)) {
        return 0;
    }
    have = stream_buffered(s);
    if (have <= offset) {
        return 0;
    }
    len = MIN(len, have - offset);
    memcpy(buf, s->in + s->in_pos + offset, len);
    return len;
}

bool stream_more(Stream *s)
{
    return fill(s, 1);
}

void stream_skip(Stream *s, size_t len)
{
    while (len > 0 && stream_ok(s)) {
        if (!fill(s, 1)) {
            set_ended(s, len);
            return;
        }
        size_t part = MIN(len, stream_buffered(s));
        s->in_pos += part;
        count_bytes(s, part);
        len -= part;
    }
}

static size_t iov_fill(Stream *s, const struct iovec *iov, size_t n)
{
    size_t done = 0;

    for (size_t i = 0; i < n && stream_buffered(s); i++) {
        size_t part = MIN(iov[i].iov_len, stream_buffered(s));
        memcpy(iov[i].iov_base, s->in + s->in_pos, part);
        s->in_pos += part;
        done += part;
    }
    return done;
}

size_t stream_get_iov(Stream *s, const struct iovec *iov, size_t n)
{
    Error *err = NULL;
    ssize_t r = 0;

    if (!stream_ok(s)) {
        return 0;
    }
    if (stream_buffered(s)) {
        r = iov_fill(s, iov, n);
    } else if (!s->in_fixed && !s->in_ended) {
        r = read_channel(s, iov, n, &err);
    }
    if (r < 0) {
        stream_error_take(s, -EIO, err);
        return 0;
    }
    if (r == 0) {
        s->in_ended = true;
        stream_error_set(s, -EIO, "unexpected end in page data");
        return 0;
    }
    count_bytes(s, r);
    return r;
}

void stream_unget(Stream *s, const void *buf, size_t len)
{
    g_assert(len <= s->bytes);
    if (s->in_fixed) {
        g_assert(len <= s->in_pos);
        s->in_pos -= len;
    } else {
        if (s->in_pos < len) {
            size_t have = stream_buffered(s);
            if (len + have > s->in_cap) {
                s->in_cap = len + have;
                s->in = g_realloc(s->in, s->in_cap);
            }
            memmove(s->in + len, s->in + s->in_pos, have);
            s->in_pos = len;
            s->in_len = len + have;
        }
        s->in_pos -= len;
        memcpy(s->in + s->in_pos, buf, len);
    }
    __atomic_store_n(&s->bytes, s->bytes - len, __ATOMIC_RELAXED);
}

/* Positions. */

bool stream_tell(Stream *s, uint64_t *ret_pos)
{
    Error *err = NULL;
    int64_t pos;

    if (!stream_ok(s)) {
        return false;
    }
    g_assert(s->ioc);
    pos = io_channel_seek(s->ioc, 0, SEEK_CUR, &err);
    if (pos < 0) {
        stream_error_take(s, -EIO, err);
        return false;
    }
    *ret_pos = pos + s->queued - (s->output ? 0 : stream_buffered(s));
    return true;
}

bool stream_seek(Stream *s, uint64_t pos)
{
    Error *err = NULL;
    uint64_t now;

    if (!stream_tell(s, &now) || (s->output && !stream_flush(s))) {
        return false;
    }
    __atomic_store_n(&s->skipped, s->skipped + (pos - now), __ATOMIC_RELAXED);
    if (pos >= now && pos - now <= stream_buffered(s)) {
        s->in_pos += pos - now;
        return true;
    }
    s->in_pos = s->in_len = 0;
    s->in_ended = false;
    if (pos > INT64_MAX || io_channel_seek(s->ioc, pos, SEEK_SET, &err) < 0) {
        if (!err) {
            error_setg(&err, "there is no position %" PRIu64, pos);
        }
        stream_error_take(s, -EIO, err);
        return false;
    }
    return true;
}

/* Rate limit. */

static uint64_t window_used(const Stream *s)
{
    return s->bytes - s->window_start_bytes + s->window_extra;
}

static void window_start(Stream *s)
{
    s->window_start_bytes = s->bytes;
    s->window_extra = 0;
    s->window_start_us = g_get_monotonic_time();
}

void stream_rate_set(Stream *s, uint64_t bytes_per_second)
{
    uint64_t limit = bytes_per_second / (1000 / STREAM_WINDOW_MS);

    if (bytes_per_second && !limit) {
        limit = 1;
    }
    if (limit != s->window_limit) {
        s->window_limit = limit;
        window_start(s);
    }
}

int64_t stream_rate_left_us(Stream *s)
{
    int64_t left;

    if (!s->window_limit || window_used(s) < s->window_limit) {
        return 0;
    }
    left = s->window_start_us + STREAM_WINDOW_MS * 1000 - g_get_monotonic_time();
    if (left <= 0) {
        /* What was too much in this window is taken off the next ones. */
        uint64_t excess = window_used(s) - s->window_limit;
        window_start(s);
        s->window_extra = excess;
        return excess < s->window_limit ? 0 : STREAM_WINDOW_MS * 1000;
    }
    return left;
}

uint64_t stream_rate_left_bytes(const Stream *s)
{
    uint64_t used = window_used(s);

    if (!s->window_limit) {
        return UINT64_MAX;
    }
    return used < s->window_limit ? s->window_limit - used : 0;
}

bool stream_rate_exceeded(Stream *s)
{
    return stream_rate_left_us(s) > 0;
}

void stream_rate_account(Stream *s, uint64_t bytes)
{
    s->window_extra += bytes;
}
