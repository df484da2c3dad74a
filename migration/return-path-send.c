/*
 * The destination's only sender on the return path.  Belongs to no thread: one lock
 * orders the messages and is held while one is written (they are a few bytes but for the
 * bitmaps of a recovery, and the source's reader never waits for anything).
 *
 * It outlives its channel: a postcopy that is paused has none.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "return-path.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "wire.h"

struct ReturnPathSend {
    GMutex lock;
    IOChannel *ioc;       /* lock, owned reference; NULL: paused */
    bool held;            /* lock: requests for pages are kept back */
    Error *failure;       /* lock: why `failed` */
    char last_block[256]; /* lock: what REQ_PAGES without a name means; "": nothing yet */
    bool failed;          /* lock: a message may have gone out in part, nothing may follow */
};

ReturnPathSend *return_path_send_new(IOChannel *ioc)
{
    ReturnPathSend *rps = g_new0(ReturnPathSend, 1);

    rps->ioc = io_channel_ref(ioc);
    g_mutex_init(&rps->lock);
    return rps;
}

void return_path_send_free(ReturnPathSend *rps)
{
    if (!rps) {
        return;
    }
    io_channel_unref(rps->ioc);
    g_clear_error(&rps->failure);
    g_mutex_clear(&rps->lock);
    g_free(rps);
}

static bool sendv_locked(ReturnPathSend *rps, const struct iovec *iov, size_t n, Error **errp)
{
    if (rps->failed || !rps->ioc) {
        error_setg(errp, "the return path is broken");
        return false;
    }
    if (!io_channel_writev_all(rps->ioc, iov, n, &rps->failure)) {
        error_prefix(&rps->failure, "return path: ");
        rps->failed = true;
        io_channel_shutdown(rps->ioc, IO_SHUTDOWN_BOTH, NULL);
        error_propagate(errp, g_error_copy(rps->failure));
        return false;
    }
    return true;
}

static bool send_locked(ReturnPathSend *rps, const uint8_t *msg, size_t len, Error **errp)
{
    struct iovec iov = { (void *)msg, len };

    return sendv_locked(rps, &iov, 1, errp);
}

static bool send_u32(ReturnPathSend *rps, WireRpMessage message, uint32_t value, Error **errp)
{
    uint8_t buf[WIRE_RP_BUF];
    size_t len = wire_rp_u32_encode(buf, message, value);
    bool ok;

    trace_return_path_send(wire_rp_name(message), value);
    g_mutex_lock(&rps->lock);
    ok = send_locked(rps, buf, len, errp);
    g_mutex_unlock(&rps->lock);
    return ok;
}

bool return_path_send_shut(ReturnPathSend *rps, uint32_t value, Error **errp)
{
    return send_u32(rps, WIRE_RP_SHUT, value, errp);
}

bool return_path_send_pong(ReturnPathSend *rps, uint32_t cookie, Error **errp)
{
    return send_u32(rps, WIRE_RP_PONG, cookie, errp);
}

bool return_path_send_switchover_ack(ReturnPathSend *rps, Error **errp)
{
    uint8_t buf[WIRE_RP_HEADER_LEN];
    bool ok;

    wire_put_be16(buf, WIRE_RP_SWITCHOVER_ACK);
    wire_put_be16(buf + 2, 0);
    trace_return_path_send(wire_rp_name(WIRE_RP_SWITCHOVER_ACK), 0);
    g_mutex_lock(&rps->lock);
    ok = send_locked(rps, buf, sizeof(buf), errp);
    g_mutex_unlock(&rps->lock);
    return ok;
}

bool return_path_send_req_pages(ReturnPathSend *rps, const char *block, uint64_t start,
                                uint32_t len, Error **errp)
{
    uint8_t buf[WIRE_RP_BUF];
    bool ok, same;
    size_t n;

    g_mutex_lock(&rps->lock);
    if (rps->held) {
        g_mutex_unlock(&rps->lock);
        return true;
    }
    same = !strcmp(rps->last_block, block);
    n = wire_rp_req_pages_encode(buf, same ? NULL : block, start, len);
    trace_return_path_send_req_pages(block, start, len, same);
    ok = send_locked(rps, buf, n, errp);
    if (ok && !same) {
        g_strlcpy(rps->last_block, block, sizeof(rps->last_block));
    }
    g_mutex_unlock(&rps->lock);
    return ok;
}

void return_path_send_forget_block(ReturnPathSend *rps)
{
    g_mutex_lock(&rps->lock);
    rps->last_block[0] = 0;
    g_mutex_unlock(&rps->lock);
}

/* ---- pause and recovery ---- */

Error *return_path_send_failure(ReturnPathSend *rps)
{
    Error *copy;

    g_mutex_lock(&rps->lock);
    copy = rps->failure ? g_error_copy(rps->failure) : NULL;
    g_mutex_unlock(&rps->lock);
    return copy;
}

static void set_channel(ReturnPathSend *rps, IOChannel *ioc)
{
    IOChannel *before;

    g_mutex_lock(&rps->lock);
    before = rps->ioc;
    rps->ioc = ioc;
    rps->held = true;
    rps->failed = false;
    rps->last_block[0] = 0;
    g_clear_error(&rps->failure);
    g_mutex_unlock(&rps->lock);
    io_channel_unref(before);
}

void return_path_send_detach(ReturnPathSend *rps)
{
    set_channel(rps, NULL);
}

void return_path_send_attach(ReturnPathSend *rps, IOChannel *ioc)
{
    set_channel(rps, io_channel_ref(ioc));
}

void return_path_send_release(ReturnPathSend *rps)
{
    g_mutex_lock(&rps->lock);
    rps->held = false;
    g_mutex_unlock(&rps->lock);
}

bool return_path_send_resume_ack(ReturnPathSend *rps, Error **errp)
{
    return send_u32(rps, WIRE_RP_RESUME_ACK, WIRE_RESUME_ACK_VALUE, errp);
}

/* Words as they lie on the wire; pages that arrive meanwhile may or may not be in it. */
static uint64_t *bitmap_to_wire(const unsigned long *received, uint64_t pages, uint64_t bytes)
{
    uint64_t *copy = g_malloc(bytes + 1);

    G_STATIC_ASSERT(sizeof(*received) == sizeof(*copy));
    for (uint64_t i = 0; i < bytes / sizeof(*copy); i++) {
        uint64_t word = __atomic_load_n(&received[i], __ATOMIC_RELAXED);

        if (i == pages / BITS_PER_LONG) {
            word &= BITMAP_MASK(pages) - 1;
        }
        copy[i] = GUINT64_TO_LE(word);
    }
    return copy;
}

bool return_path_send_recv_bitmap(ReturnPathSend *rps, const char *block,
                                  const unsigned long *received, uint64_t pages, Error **errp)
{
    uint64_t bytes = wire_recv_bitmap_bytes(pages);
    g_autofree uint64_t *bits = bitmap_to_wire(received, pages, bytes);
    uint8_t head[WIRE_RP_BUF], size[8], mark[8];
    const struct iovec iov[] = {
        { head, wire_rp_name_encode(head, WIRE_RP_RECV_BITMAP, block) },
        { size, sizeof(size) }, { bits, bytes }, { mark, sizeof(mark) },
    };
    bool ok;

    wire_put_be64(size, bytes);
    wire_put_be64(mark, WIRE_RECV_BITMAP_END);
    trace_return_path_send_recv_bitmap(block, pages);
    g_mutex_lock(&rps->lock);
    ok = sendv_locked(rps, iov, G_N_ELEMENTS(iov), errp);
    g_mutex_unlock(&rps->lock);
    return ok;
}
