/*
 * Pause and recovery of a postcopy on the destination.
 *
 * Pausing, waiting and the two commands belong to the listen thread; migrate-recover comes
 * from a monitor's thread, without the machine lock: whoever holds that may be asleep over a
 * page that is still at the source, and so may the main loop.  For the same reason the listen
 * thread accepts the connection itself.
 *
 *   postcopy-active   the stream fails: place what has come, let the channel go, keep requests
 *                     for pages back (the fault thread goes on noting them)
 *   postcopy-paused   wait for migrate-recover, then for a connection; or it names a file
 *   postcopy-recover  answer RECV_BITMAP; at POSTCOPY_RESUME: RESUME_ACK, and ask again for
 *                     every page that somebody waits for
 *   postcopy-active   as before; with a file: take pages from it (carry/load.c), and back to
 *                     postcopy-paused if it did not have everything
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <poll.h>
#include <unistd.h>

#include "migration/channel-tls.h"
#include "migration/config.h"
#include "migration/postcopy-ram/dest-int.h"
#include "migration/return-path.h"
#include "migration/state.h"
#include "migration/stream-internal.h"
#include "migration/wire.h"
#include "trace/migration.h"
#include "util/bitmap.h"
#include "util/log.h"
#include "util/util.h"

/* The source makes its second connection before it says POSTCOPY_RESUME: it is late already. */
#define SECOND_WAIT_US (10 * G_USEC_PER_SEC)
#define SECOND_LOOK_MS 100

/* ---- pause ---- */

/* What broke first: a message that could not be sent shuts the stream down, which then fails too. */
static Error *first_cause(PostcopyDest *pd, Error *err)
{
    Error *sending = return_path_send_failure(pd->m->rp_send);

    if (!sending) {
        return err;
    }
    g_clear_error(&err);
    return sending;
}

/* What take_second() got; the caller made it end. */
static IOChannel *end_second(PostcopyDest *pd)
{
    return pd->second_thread ? g_thread_join(g_steal_pointer(&pd->second_thread)) : NULL;
}

static void close_channel(PostcopyDest *pd, Error **cause)
{
    Migration *m = pd->m;
    g_autoptr(Error) err = NULL;

    *cause = first_cause(pd, *cause);
    migration_shutdown_channels(m);
    io_channel_unref(end_second(pd));
    preempt_dest_stop(pd);
    return_path_send_detach(m->rp_send);
    if (!place_reset(pd->placer, &err)) {
        warn_report("%s", err->message); /* it is not marked as received: the source sends it again */
    }
    stream_free(g_steal_pointer(&m->in));
    migration_set_channel(m, NULL);
    m->ram_dest->last = NULL;
    g_mutex_lock(&pd->lock);
    g_clear_pointer(&pd->acceptor, mig_acceptor_free); /* nobody came for the second channel */
    g_mutex_unlock(&pd->lock);
}

/* TLS, if the migration has it; whoever is not let in leaves the place to the next. */
static IOChannel *secure(PostcopyDest *pd, IOChannel *raw)
{
    Migration *m = pd->m;
    g_autoptr(Error) err = NULL;
    IOChannel *ioc = mig_tls_secure_incoming(raw, m->tls_creds, m->config->tls_authz, &err);

    if (!ioc) {
        warn_report("the new connection was refused: %s", error_get_pretty(err));
    }
    return ioc;
}

/*
 * A connection, when there is one; *ret_fd is where to wait for it (-1: nowhere).  last: no other one is
 * expected.
 */
static IOChannel *take_connection(PostcopyDest *pd, bool last, int *ret_fd)
{
    g_autoptr(Error) err = NULL;
    IOChannel *ioc = NULL;

    g_mutex_lock(&pd->lock);
    *ret_fd = -1;
    if (pd->acceptor) {
        ioc = mig_acceptor_take(pd->acceptor, &err);
        *ret_fd = mig_acceptor_fd(pd->acceptor);
    }
    g_mutex_unlock(&pd->lock);
    if (err) {
        warn_report("accepting the source's new connection: %s", err->message);
    }
    if (ioc) {
        ioc = secure(pd, ioc);
    }
    if (ioc && last) {
        g_mutex_lock(&pd->lock);
        g_clear_pointer(&pd->acceptor, mig_acceptor_free);
        g_mutex_unlock(&pd->lock);
    }
    return ioc;
}

/* Until something may have happened, at most timeout_ms (-1: no limit). */
static void wait_a_while(PostcopyDest *pd, int fd, int timeout_ms)
{
    struct pollfd fds[2] = { { .fd = pd->wake_fd, .events = POLLIN },
                             { .fd = fd, .events = POLLIN } };
    uint64_t n;

    if (poll(fds, 2, timeout_ms) > 0 && fds[0].revents &&
        read(pd->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN) {
        g_error("reading an eventfd: %s", g_strerror(errno));
    }
}

static CarryFile *take_file(PostcopyDest *pd)
{
    CarryFile *file;

    g_mutex_lock(&pd->lock);
    file = g_steal_pointer(&pd->file);
    g_mutex_unlock(&pd->lock);
    return file;
}

/* NULL, and no *ret_file either: the process goes down. */
static IOChannel *wait_for_connection(PostcopyDest *pd, CarryFile **ret_file)
{
    bool last = !pd->m->config->cap[MIG_CAP_POSTCOPY_PREEMPT];

    while (!migration_cancelled(pd->m)) {
        int fd;
        IOChannel *ioc = take_connection(pd, last, &fd);

        if (ioc || (*ret_file = take_file(pd))) {
            return ioc;
        }
        wait_a_while(pd, fd, -1);
    }
    return NULL;
}

/* For the preempt channel, while the main one stands; until second_until. */
static gpointer take_second(gpointer opaque)
{
    PostcopyDest *pd = opaque;

    while (!migration_cancelled(pd->m) && !g_atomic_int_get(&pd->m->channel->shut)) {
        int64_t until = __atomic_load_n(&pd->second_until, __ATOMIC_ACQUIRE);
        int fd;
        IOChannel *ioc;

        if (until && g_get_monotonic_time() >= until) {
            break;
        }
        ioc = take_connection(pd, true, &fd);
        if (ioc) {
            return ioc;
        }
        wait_a_while(pd, fd, SECOND_LOOK_MS);
    }
    return NULL;
}

/*
 * A TLS source does not go on before its second handshake is answered, so that needs a thread;
 * without TLS the connection waits in the kernel until accept_second().
 */
static void start_second(PostcopyDest *pd)
{
    g_autoptr(Error) err = NULL;

    if (pd->m->tls_creds && pd->m->config->cap[MIG_CAP_POSTCOPY_PREEMPT]) {
        __atomic_store_n(&pd->second_until, 0, __ATOMIC_RELEASE);
        pd->second_thread = thread_try_start("mig/dst/tls", take_second, pd, &err);
        if (err) {
            /* The source's second handshake is answered late, or too late: then it tries again. */
            warn_report("%s", error_get_pretty(err));
        }
    }
}

static IOChannel *accept_second(PostcopyDest *pd, Error **errp)
{
    IOChannel *ioc;

    __atomic_store_n(&pd->second_until, g_get_monotonic_time() + SECOND_WAIT_US, __ATOMIC_RELEASE);
    ioc = pd->second_thread ? end_second(pd) : take_second(pd);
    if (!ioc) {
        error_setg(errp, "the source has not made the preempt channel again");
    }
    return ioc;
}

/* The new connection is a stream without a header, whose first element is a command. */
static void take_over(PostcopyDest *pd, IOChannel *ioc)
{
    Migration *m = pd->m;

    migration_clear_error(m);
    io_channel_set_name(ioc, "migration-main");
    io_channel_set_recv_buffer(ioc, POSTCOPY_SOCKET_BUFFER);
    io_channel_set_send_buffer(ioc, POSTCOPY_REQUEST_BUFFER);
    m->in = stream_new_input(ioc);
    return_path_send_attach(m->rp_send, ioc);
    migration_set_channel(m, ioc);
}

static void pause_here(PostcopyDest *pd, Error *err)
{
    trace_postcopy_paused("destination", error_get_pretty(err));
    error_report("postcopy paused: %s", error_get_pretty(err));
    migration_set_error(pd->m, err); /* unless the preempt channel broke first, and said so */
    state_advance_any(pd->m->state, MIG_STATE_POSTCOPY_PAUSED, NULL);
}

/* A file in place of a stream.  True: nothing is missing any more.  Else paused as before. */
static bool read_file(PostcopyDest *pd, CarryFile *file)
{
    Migration *m = pd->m;
    Error *err = NULL;
    bool good;

    migration_clear_error(m);
    if (!state_advance(m->state, MIG_STATE_POSTCOPY_PAUSED, MIG_STATE_POSTCOPY_RECOVER) ||
        !state_advance(m->state, MIG_STATE_POSTCOPY_RECOVER, MIG_STATE_POSTCOPY_ACTIVE)) {
        carry_file_free(file);
        return false;
    }
    trace_postcopy_recover("destination", carry_file_name(file));
    carry_load(pd, file, &err);
    good = postcopy_check_complete(pd, err ? NULL : &err);
    if (good) {
        g_clear_error(&err); /* nothing of what was wrong with the file was needed */
    } else {
        error_prefix(&err, "file '%s': ", carry_file_name(file));
    }
    carry_file_free(file);
    if (!good) {
        pause_here(pd, err);
    }
    return good;
}

PauseEnd postcopy_pause_dest(PostcopyDest *pd, Error *err)
{
    Migration *m = pd->m;

    if (migration_cancelled(m)) {
        g_clear_error(&err);
        return PAUSE_CANCELLED;
    }
    close_channel(pd, &err);
    pause_here(pd, err);
    for (;;) {
        CarryFile *file = NULL;
        IOChannel *ioc = wait_for_connection(pd, &file);

        if (ioc) {
            take_over(pd, ioc);
            start_second(pd);
            return state_advance(m->state, MIG_STATE_POSTCOPY_PAUSED, MIG_STATE_POSTCOPY_RECOVER)
                       ? PAUSE_STREAM
                       : PAUSE_CANCELLED;
        }
        if (!file || migration_cancelled(m)) {
            carry_file_free(file);
            return PAUSE_CANCELLED;
        }
        if (read_file(pd, file)) {
            return PAUSE_COMPLETE;
        }
    }
}

void postcopy_pause_end(PostcopyDest *pd)
{
    __atomic_store_n(&pd->second_until, 1, __ATOMIC_RELEASE);
    io_channel_unref(end_second(pd));
    g_mutex_lock(&pd->lock);
    g_clear_pointer(&pd->acceptor, mig_acceptor_free);
    g_clear_pointer(&pd->file, carry_file_free);
    close_fd(&pd->wake_fd);
    g_mutex_unlock(&pd->lock);
}

/* ---- commands of the recovering source; listen thread ---- */

/* In postcopy, but not in recovery, a command is late and nothing comes of it. */
static bool recovering(Migration *m, const char *command)
{
    if (mig_state_get(m->state) == MIG_STATE_POSTCOPY_RECOVER) {
        return true;
    }
    warn_report("%s came in state '%s': ignored", command, mig_state_name(mig_state_get(m->state)));
    return false;
}

static bool check_running(const Migration *m, Error **errp)
{
    if (!postcopy_dest_running(m)) {
        error_setg(errp, "it came before postcopy: there is nothing to recover");
        return false;
    }
    return true;
}

bool postcopy_dest_recv_bitmap(Migration *m, const uint8_t *payload, size_t len, Error **errp)
{
    PostcopyDest *pd = m->postcopy_dest;
    char name[256];

    if (!check_running(m, errp) || !wire_name_decode(payload, len, name, errp)) {
        return false;
    }
    if (!recovering(m, "RECV_BITMAP")) {
        return true;
    }
    for (unsigned i = 0; i < pd->pmi->num_blocks; i++) {
        const PmiBlock *b = &pd->pmi->blocks[i];

        if (!strcmp(b->rb->idstr, name)) {
            return return_path_send_recv_bitmap(m->rp_send, name, b->received, b->pages, errp);
        }
    }
    g_autofree char *shown = g_strescape(name, NULL);
    error_setg(errp, "it asks for RAM block '%s', which this machine has not", shown);
    return false;
}

/* Everything that was requested and has not come: over the old path, or noted in the pause. */
static bool request_again(PostcopyDest *pd, Error **errp)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < pd->pmi->num_blocks; i++) {
        const PmiBlock *b = &pd->pmi->blocks[i];
        uint64_t page = 0;

        while ((page = bitmap_find_next(b->requested, b->host_pages, page)) < b->host_pages) {
            if (!return_path_send_req_pages(pd->m->rp_send, b->rb->idstr, page * b->rb->page_size,
                                            b->rb->page_size, errp)) {
                return false;
            }
            page++;
            n++;
        }
    }
    trace_postcopy_requested_again(n);
    return true;
}

/* The preempt channel again, if there is to be one. */
static bool second_channel(PostcopyDest *pd, Error **errp)
{
    IOChannel *ioc;

    if (!pd->m->config->cap[MIG_CAP_POSTCOPY_PREEMPT]) {
        return true;
    }
    ioc = accept_second(pd, errp);
    if (!ioc) {
        return false;
    }
    io_channel_set_name(ioc, "migration-preempt");
    migration_set_urgent_channel(pd->m, ioc);
    return preempt_dest_start(pd, errp);
}

bool postcopy_dest_resume(Migration *m, Error **errp)
{
    if (!check_running(m, errp)) {
        return false;
    }
    if (!recovering(m, "POSTCOPY_RESUME")) {
        return true;
    }
    if (!second_channel(m->postcopy_dest, errp)) {
        return false;
    }
    migration_moment(m, FAULT_DST_RESUME_ACK);
    if (!state_advance(m->state, MIG_STATE_POSTCOPY_RECOVER, MIG_STATE_POSTCOPY_ACTIVE) ||
        !return_path_send_resume_ack(m->rp_send, errp)) {
        return false;
    }
    trace_postcopy_recover("destination", "resume");
    return_path_send_release(m->rp_send);
    return request_again(m->postcopy_dest, errp);
}

/* ---- any thread, no machine lock ---- */

void postcopy_dest_wake(Migration *m)
{
    PostcopyDest *pd = __atomic_load_n(&m->postcopy_dest, __ATOMIC_ACQUIRE);
    uint64_t one = 1;

    if (!pd) {
        return;
    }
    g_mutex_lock(&pd->lock);
    if (pd->wake_fd >= 0 && write(pd->wake_fd, &one, sizeof(one)) < 0) {
        g_assert(errno == EAGAIN); /* it is readable already */
    }
    g_mutex_unlock(&pd->lock);
}

void postcopy_dest_feed(Migration *m, CarryFile *file)
{
    PostcopyDest *pd = m->postcopy_dest;

    g_mutex_lock(&pd->lock);
    carry_file_free(pd->file);
    pd->file = file;
    g_clear_pointer(&pd->acceptor, mig_acceptor_free);
    __atomic_store_n(&m->carry.stop, 0, __ATOMIC_RELEASE);
    g_mutex_unlock(&pd->lock);
    postcopy_dest_wake(m);
}

bool postcopy_dest_recover(Migration *m, const MigrateAddress *addr, Error **errp)
{
    PostcopyDest *pd = m->postcopy_dest;

    g_mutex_lock(&pd->lock);
    g_clear_pointer(&pd->acceptor, mig_acceptor_free); /* its address may be needed again */
    pd->acceptor = mig_acceptor_new(addr, errp);
    bool ok = pd->acceptor != NULL;
    if (ok) {
        /*
         * Before a connection can come.  libvirt takes the last status it heard for the present
         * one, and has given up by the time postcopy-recover comes if that was postcopy-paused.
         */
        mig_state_emit_event(MIG_DST, MIG_STATE_POSTCOPY_PAUSED, MIG_STATE_SETUP, NULL);
    }
    g_mutex_unlock(&pd->lock);
    postcopy_dest_wake(m);
    return ok;
}

SocketAddress *postcopy_dest_listening(Migration *m)
{
    PostcopyDest *pd = __atomic_load_n(&m->postcopy_dest, __ATOMIC_ACQUIRE);
    SocketAddress *address = NULL;

    if (pd) {
        g_mutex_lock(&pd->lock);
        address = pd->acceptor ? mig_acceptor_address(pd->acceptor) : NULL;
        g_mutex_unlock(&pd->lock);
    }
    return address;
}
