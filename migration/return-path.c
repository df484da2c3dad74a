/*
 * The source's end of the return path: reads what the destination says, checks it, and hands it
 * on: page requests to the urgent queue, PONG to the postcopy switch.
 *
 * Belongs to the reader.  That is the return-path thread ("mig/src/return"), which never waits
 * for anything but the channel, and sends nothing, except on the preempt channel
 * (preempt-source.c): that is written by this thread, a page a request.  While pages go out on
 * the main channel in postcopy it lends the reading to the migration thread, which is awake
 * anyway: a request then costs no wake-up (return_path_serve).
 *
 * It ends with SHUT, with an error, or when the channel is shut down.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "return-path.h"

#include <inttypes.h>
#include <string.h>

#include "carry/carry.h"
#include "postcopy-ram/postcopy.h"
#include "postcopy-ram/preempt.h"
#include "ram.h"
#include "state.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/fault.h"
#include "util/sched.h"
#include "util/util.h"
#include "verify.h"
#include "wire.h"

/* Field keys: [c] constant, [r] the reader, [m] migration thread, [R] lock. */
struct ReturnPath {
    Migration *m;              /* [c] */
    IOChannel *ioc;            /* [c] owned reference */
    GThread *thread;           /* [c] until joined; owner's thread */
    RamSourceBlock *last_block; /* [r] what REQ_PAGES means; NULL: none was named */
    GMutex lock;
    GCond given_back;          /* of the next two */
    bool wanted;               /* [R] the migration thread would read itself */
    bool lent;                 /* [R] it does; it may look without the lock */
    bool ended;                /* [R] */
    int answered;              /* atomic: a message came */
    int refused;               /* atomic: SHUT with another value than 0 came */
    uint32_t last_pong;        /* atomic: its cookie; 0: none came */
    unsigned bitmaps;          /* atomic: blocks whose received bitmap is complete */
    int resumed;               /* atomic: RESUME_ACK came */
    Error *error;              /* [R] why, NULL: SHUT(0) */
};

typedef enum Verdict { GO_ON, END_OF_PATH, FAILED } Verdict;

/* Handles a message whose length wire_rp_check() found right. */
typedef Verdict MessageFn(ReturnPath *rp, const uint8_t *payload, size_t len, Error **errp);

static Verdict on_shut(ReturnPath *rp, const uint8_t *payload, size_t len, Error **errp)
{
    uint32_t value = wire_get_be32(payload);

    trace_return_path_message("SHUT", value);
    if (value) {
        __atomic_store_n(&rp->refused, 1, __ATOMIC_RELEASE);
        error_setg(errp, "the destination reports that its load failed (SHUT %" PRIu32 ")", value);
        return FAILED;
    }
    return END_OF_PATH;
}

static Verdict on_pong(ReturnPath *rp, const uint8_t *payload, size_t len, Error **errp)
{
    uint32_t cookie = wire_get_be32(payload);

    trace_return_path_message("PONG", cookie);
    __atomic_store_n(&rp->last_pong, cookie, __ATOMIC_RELEASE);
    carry_attempt_pong(rp->m, cookie);
    postcopy_source_pong(rp->m, cookie);
    verify_source_pong(rp->m, cookie);
    src_wake(rp->m);
    return GO_ON;
}

static Verdict on_switchover_ack(ReturnPath *rp, const uint8_t *payload, size_t len, Error **errp)
{
    trace_return_path_message("SWITCHOVER_ACK", 0);
    if (__atomic_fetch_sub(&rp->m->acks_missing, 1, __ATOMIC_RELEASE) <= 0) {
        error_setg(errp, "SWITCHOVER_ACK came more often than it was asked for (does "
                   "switchover-ack-legacy differ between the two sides?)");
        return FAILED;
    }
    src_wake(rp->m);
    return GO_ON;
}

static bool request_ok(const RAMBlock *rb, const WireReqPages *req, Error **errp)
{
    if (!IS_ALIGNED(req->start, TARGET_PAGE_SIZE) || !IS_ALIGNED(req->len, TARGET_PAGE_SIZE) ||
        !ramblock_contains(rb, req->start, req->len)) {
        error_setg(errp,
                   "request for 0x%" PRIx64 "+0x%" PRIx32
                   " is not made of pages inside RAM block '%s' of 0x%" PRIx64 " bytes",
                   req->start, req->len, rb->idstr, rb->used_length);
        return false;
    }
    return true;
}

/* Whole host pages around a request: what was taken back was taken back like that. */
static bool serve_request(ReturnPath *rp, RamSourceBlock *b, uint64_t start, uint64_t len,
                          Error **errp)
{
    uint64_t page = b->rb->page_size;
    uint64_t first = ROUND_DOWN(start, page);
    uint64_t n = ROUND_UP(start + len, page) - first;
    PreemptSource *preempt = __atomic_load_n(&rp->m->preempt, __ATOMIC_ACQUIRE);

    if (preempt) {
        preempt_source_send(preempt, b, first, n);
        return true;
    }
    if (urgent_full(rp->m->ram)) {
        error_setg(errp, "the destination asks for pages and does not take those that it gets");
        return false;
    }
    urgent_push(rp->m, b, first, n);
    return true;
}

static Verdict req_pages(ReturnPath *rp, WireRpMessage message, const uint8_t *payload, size_t len,
                         Error **errp)
{
    WireReqPages req;

    if (!wire_rp_req_pages_decode(message, payload, len, &req, errp)) {
        return FAILED;
    }
    if (!mig_state_is_postcopy(mig_state_get(rp->m->state))) {
        error_setg(errp, "request for pages while the migration is not in postcopy");
        return FAILED;
    }
    if (req.has_block) {
        RamSourceBlock *b = ram_source_block(rp->m->ram, req.block);
        if (!b) {
            error_setg(errp, "request for RAM block '%s', which does not exist", req.block);
            return FAILED;
        }
        rp->last_block = b;
    } else if (!rp->last_block) {
        error_setg(errp, "request without a block name before any with one");
        return FAILED;
    }
    if (!request_ok(rp->last_block->rb, &req, errp)) {
        return FAILED;
    }
    trace_return_path_req_pages(rp->last_block->rb->idstr, req.start, req.len);
    return serve_request(rp, rp->last_block, req.start, req.len, errp) ? GO_ON : FAILED;
}

static Verdict on_req_pages(ReturnPath *rp, const uint8_t *payload, size_t len, Error **errp)
{
    return req_pages(rp, WIRE_RP_REQ_PAGES, payload, len, errp);
}

static Verdict on_req_pages_id(ReturnPath *rp, const uint8_t *payload, size_t len, Error **errp)
{
    return req_pages(rp, WIRE_RP_REQ_PAGES_ID, payload, len, errp);
}

/* ---- recovery ---- */

static bool read_whole(ReturnPath *rp, void *buf, size_t len, Error **errp)
{
    int got = io_channel_read_all(rp->ioc, buf, len, errp);

    if (got == 0) {
        error_setg(errp, "the destination closed it");
    }
    return got > 0;
}

/* Size, bits (little-endian), end mark: behind the message, not counted in its length. */
static bool read_bitmap(ReturnPath *rp, unsigned long *map, uint64_t pages, Error **errp)
{
    uint64_t bytes = wire_recv_bitmap_bytes(pages);
    uint8_t word[8];

    if (!read_whole(rp, word, sizeof(word), errp)) {
        return false;
    }
    if (wire_get_be64(word) != bytes) {
        error_setg(errp, "it has %" PRIu64 " bytes; %" PRIu64 " pages make %" PRIu64,
                   wire_get_be64(word), pages, bytes);
        return false;
    }
    if (bytes && !read_whole(rp, map, bytes, errp)) {
        return false;
    }
    for (uint64_t i = 0; i < BITMAP_WORDS(pages); i++) {
        map[i] = GULONG_FROM_LE(map[i]);
    }
    if (!read_whole(rp, word, sizeof(word), errp)) {
        return false;
    }
    if (wire_get_be64(word) != WIRE_RECV_BITMAP_END) {
        error_setg(errp, "it does not end with its mark");
        return false;
    }
    return true;
}

static Verdict on_recv_bitmap(ReturnPath *rp, const uint8_t *payload, size_t len, Error **errp)
{
    g_autofree unsigned long *map = NULL;
    char name[256];
    RamSourceBlock *b;

    if (!wire_name_decode(payload, len, name, errp)) {
        return FAILED;
    }
    b = ram_source_block(rp->m->ram, name);
    if (!b || mig_state_get(rp->m->state) != MIG_STATE_POSTCOPY_RECOVER || b->received) {
        g_autofree char *shown = g_strescape(name, NULL);

        error_setg(errp, "received bitmap of RAM block '%s', which was not asked for", shown);
        return FAILED;
    }
    /* Whole 64-bit words are sent. */
    map = alloc_from_wire(MAX(wire_recv_bitmap_bytes(b->pages), BITMAP_BYTES(b->pages)), errp);
    if (!map || !read_bitmap(rp, map, b->pages, errp)) {
        error_prefix(errp, "received bitmap of RAM block '%s': ", b->rb->idstr);
        return FAILED;
    }
    trace_return_path_recv_bitmap(name, bitmap_count(map, 0, b->pages), b->pages);
    b->received = g_steal_pointer(&map);
    __atomic_fetch_add(&rp->bitmaps, 1, __ATOMIC_RELEASE);
    src_wake(rp->m);
    return GO_ON;
}

static Verdict on_resume_ack(ReturnPath *rp, const uint8_t *payload, size_t len, Error **errp)
{
    uint32_t value = wire_get_be32(payload);

    trace_return_path_message("RESUME_ACK", value);
    if (value != WIRE_RESUME_ACK_VALUE ||
        mig_state_get(rp->m->state) != MIG_STATE_POSTCOPY_RECOVER) {
        error_setg(errp, "RESUME_ACK with %" PRIu32 " (only %u is defined) in state '%s'", value,
                   WIRE_RESUME_ACK_VALUE, mig_state_name(mig_state_get(rp->m->state)));
        return FAILED;
    }
    __atomic_store_n(&rp->resumed, 1, __ATOMIC_RELEASE);
    src_wake(rp->m);
    return GO_ON;
}

/* Messages that Ferry has no use for at present are refused by name. */
static MessageFn *const handlers[WIRE_RP__MAX] = {
    [WIRE_RP_SHUT] = on_shut,
    [WIRE_RP_PONG] = on_pong,
    [WIRE_RP_REQ_PAGES_ID] = on_req_pages_id,
    [WIRE_RP_REQ_PAGES] = on_req_pages,
    [WIRE_RP_SWITCHOVER_ACK] = on_switchover_ack,
    [WIRE_RP_RECV_BITMAP] = on_recv_bitmap,
    [WIRE_RP_RESUME_ACK] = on_resume_ack,
};

static Verdict read_message(ReturnPath *rp, Error **errp)
{
    uint8_t header[WIRE_RP_HEADER_LEN], payload[WIRE_RP_MAX_PAYLOAD];
    unsigned message, len;
    int got = io_channel_read_all(rp->ioc, header, sizeof(header), errp);

    if (got <= 0) {
        if (got == 0) {
            error_setg(errp, "the destination closed it without SHUT");
        }
        return FAILED;
    }
    message = wire_get_be16(header);
    len = wire_get_be16(header + 2);
    if (!wire_rp_check(message, len, errp)) {
        return FAILED;
    }
    if (!__atomic_exchange_n(&rp->answered, 1, __ATOMIC_RELEASE)) {
        src_wake(rp->m);
    }
    if (!handlers[message]) {
        error_setg(errp, "message %s is not expected", wire_rp_name(message));
        return FAILED;
    }
    got = len ? io_channel_read_all(rp->ioc, payload, len, errp) : 1;
    if (got <= 0) {
        if (got == 0) {
            error_setg(errp, "the destination closed it");
        }
        error_prefix(errp, "inside a message %s: ", wire_rp_name(message));
        return FAILED;
    }
    return handlers[message](rp, payload, len, errp);
}

/* The reader: one message, or the end of the path.  False: that was it. */
static bool read_one(ReturnPath *rp)
{
    Error *err = NULL;

    if (read_message(rp, &err) == GO_ON) {
        return true;
    }
    if (err) {
        error_prefix(&err, "return path: ");
    }
    trace_return_path_end(err ? err->message : "SHUT 0");
    g_mutex_lock(&rp->lock);
    rp->ended = true;
    rp->error = err;
    g_mutex_unlock(&rp->lock);
    src_wake(rp->m);
    return false;
}

/* Between two messages: lend the reading if it is wanted, until it is given back. */
static void lend_reading(ReturnPath *rp)
{
    g_mutex_lock(&rp->lock);
    while (rp->wanted && !rp->ended && mig_state_get(rp->m->state) == MIG_STATE_POSTCOPY_ACTIVE) {
        if (!rp->lent) {
            __atomic_store_n(&rp->lent, true, __ATOMIC_RELEASE);
            src_wake(rp->m);
        }
        g_cond_wait(&rp->given_back, &rp->lock);
    }
    g_mutex_unlock(&rp->lock);
}

static void *return_path_thread(void *opaque)
{
    ReturnPath *rp = opaque;

    /* Requests for pages must not wait until the busy sender has used up its slice. */
    sched_set_slice(0, SCHED_SLICE_URGENT_NS);
    while (!return_path_ended(rp, NULL) && read_one(rp)) {
        lend_reading(rp);
    }
    return NULL;
}

void return_path_want(ReturnPath *rp)
{
    g_mutex_lock(&rp->lock);
    rp->wanted = true;
    g_mutex_unlock(&rp->lock);
}

void return_path_give_back(ReturnPath *rp)
{
    g_mutex_lock(&rp->lock);
    rp->wanted = false;
    __atomic_store_n(&rp->lent, false, __ATOMIC_RELEASE);
    g_cond_signal(&rp->given_back);
    g_mutex_unlock(&rp->lock);
}

bool return_path_lent(const ReturnPath *rp)
{
    return rp && __atomic_load_n(&rp->lent, __ATOMIC_ACQUIRE);
}

unsigned return_path_serve(ReturnPath *rp, unsigned want, int timeout_ms)
{
    unsigned ready = io_channel_poll(rp->ioc, want | IO_READY_READ, -1, timeout_ms);

    if ((ready & IO_READY_READ) && !read_one(rp)) {
        return_path_give_back(rp);
    }
    return ready;
}

ReturnPath *return_path_start(Migration *m, Error **errp)
{
    g_autoptr(ReturnPath) rp = g_new0(ReturnPath, 1);

    rp->m = m;
    rp->ioc = io_channel_ref(m->channel);
    g_mutex_init(&rp->lock);
    g_cond_init(&rp->given_back);
    rp->thread = thread_try_start("mig/src/return", return_path_thread, rp, errp);
    return rp->thread ? g_steal_pointer(&rp) : NULL;
}

bool return_path_ended(ReturnPath *rp, Error **errp)
{
    bool ended;

    g_mutex_lock(&rp->lock);
    ended = rp->ended;
    if (rp->error && errp) {
        *errp = g_error_copy(rp->error);
    }
    g_mutex_unlock(&rp->lock);
    return ended;
}

bool return_path_refused(const ReturnPath *rp)
{
    return __atomic_load_n(&rp->refused, __ATOMIC_ACQUIRE);
}

bool return_path_answered(const ReturnPath *rp)
{
    return __atomic_load_n(&rp->answered, __ATOMIC_ACQUIRE);
}

uint32_t return_path_last_pong(const ReturnPath *rp)
{
    return __atomic_load_n(&rp->last_pong, __ATOMIC_ACQUIRE);
}

static bool still_there(Migration *m, Error **errp)
{
    if (migration_cancelled(m)) {
        return false;
    }
    if (return_path_ended(m->return_path, errp)) {
        if (errp && !*errp) {
            error_setg(errp, "the destination ended the migration early");
        }
        return false;
    }
    return true;
}

ReturnPathAnswer return_path_wait_pong(Migration *m, uint32_t a, uint32_t b, int64_t us,
                                       Error **errp)
{
    int64_t until = g_get_monotonic_time() + us;

    for (;;) {
        uint32_t pong = return_path_last_pong(m->return_path);

        if (pong == a || pong == b) {
            return RETURN_PATH_CAME;
        }
        if (!still_there(m, errp)) {
            return RETURN_PATH_FAILED;
        }
        if (g_get_monotonic_time() >= until) {
            return RETURN_PATH_SILENT;
        }
        mig_state_wait(m->state, MIG_STATE_SETUP, until);
    }
}

unsigned return_path_bitmaps(const ReturnPath *rp)
{
    return __atomic_load_n(&rp->bitmaps, __ATOMIC_ACQUIRE);
}

bool return_path_resumed(const ReturnPath *rp)
{
    return __atomic_load_n(&rp->resumed, __ATOMIC_ACQUIRE);
}

bool return_path_join(ReturnPath *rp, Error **errp)
{
    if (rp->thread) {
        return_path_give_back(rp);
        g_thread_join(rp->thread);
        rp->thread = NULL;
    }
    if (rp->error) {
        error_propagate(errp, g_error_copy(rp->error));
        return false;
    }
    return true;
}

void return_path_free(ReturnPath *rp)
{
    if (!rp) {
        return;
    }
    return_path_join(rp, NULL);
    io_channel_unref(rp->ioc);
    g_clear_error(&rp->error);
    g_mutex_clear(&rp->lock);
    g_cond_clear(&rp->given_back);
    g_free(rp);
}
