/*
 * The destination's only sender on the return path.  Belongs to no thread: one lock
 * orders the messages and is held while one is written (they are a few bytes, and the
 * source's reader never waits for anything).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>

#include "return-path.h"
#include "trace/migration.h"
#include "wire.h"

struct ReturnPathSend {
    IOChannel *ioc;       /* constant, owned reference */
    GMutex lock;
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
    g_mutex_clear(&rps->lock);
    g_free(rps);
}

static bool send_locked(ReturnPathSend *rps, const uint8_t *msg, size_t len, Error **errp)
{
    struct iovec iov = { (void *)msg, len };

    if (rps->failed) {
        error_setg(errp, "the return path is broken");
        return false;
    }
    if (!io_channel_writev_all(rps->ioc, &iov, 1, errp)) {
        error_prefix(errp, "return path: ");
        rps->failed = true;
        return false;
    }
    return true;
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
