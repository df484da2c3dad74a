/*
 * Fuzz target: the destination of a postcopy, with every command, over sockets: the incoming
 * thread's part up to RUN, the listen and fault threads, the pause and a recovery.
 *
 * Input: a byte of flags, the length of the main stream (16 bits), the stream; what is left is the
 * stream with which the source comes back, or (flag PREEMPT) what it says on the preempt channel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "migration/channel.h"
#include "migration/config.h"
#include "migration/postcopy-ram/postcopy.h"
#include "migration/ram.h"
#include "migration/return-path.h"
#include "migration/state.h"
#include "migration/stream-internal.h"
#include "migration/verify.h"
#include "system/machine-lock.h"
#include "util/util.h"

#define RAM_SIZE (1 * MiB)
#define PREEMPT 1

static int ended;  /* atomic: the listen thread has reported */
static int pauses; /* atomic: how often it came to wait for another connection */

static void on_state(MigSide side, MigState from, MigState to, void *opaque)
{
    if (to == MIG_STATE_POSTCOPY_PAUSED) {
        __atomic_fetch_add(&pauses, 1, __ATOMIC_RELEASE);
    }
}

/* The linker puts these in front of the real ones: the guest is not started, nothing is reported. */
void __wrap_dst_finish(Migration *m, Error *err);
void __wrap_dst_finish(Migration *m, Error *err)
{
    g_clear_error(&err);
    __atomic_store_n(&ended, 1, __ATOMIC_RELEASE);
}

void __wrap_dst_start_machine(Migration *m);
void __wrap_dst_start_machine(Migration *m)
{
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const MigCapChange on = { MIG_CAP_POSTCOPY_RAM, true };
    g_autoptr(Error) err = NULL;

    fuzz_make_machine("none", RAM_SIZE);
    if (!mig_settings_set_caps(mig_settings(), &on, 1, false, &err)) {
        fprintf(stderr, "fuzz-postcopy: %s\n", err->message);
        _exit(2);
    }
    return 0;
}

/* ---- the source: a thread that says its text and hears what is answered ---- */

typedef struct Peer {
    int fd;
    const uint8_t *data;
    size_t len;
    GThread *thread;
} Peer;

static void *peer_thread(void *opaque)
{
    Peer *p = opaque;
    uint8_t buf[4096];

    for (size_t done = 0; done < p->len;) {
        ssize_t n = send(p->fd, p->data + done, p->len - done, MSG_NOSIGNAL);

        if (n <= 0) {
            break;
        }
        done += n;
    }
    shutdown(p->fd, SHUT_WR);
    while (recv(p->fd, buf, sizeof(buf), 0) > 0) {
    }
    close(p->fd);
    return NULL;
}

/* Returns the destination's end. */
static int peer_start(Peer *p, const uint8_t *data, size_t len)
{
    int fds[2];

    g_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    *p = (Peer){ fds[0], data, len, NULL };
    p->thread = g_thread_new("peer", peer_thread, p);
    return fds[1];
}

static void peer_join(Peer *p)
{
    if (p->thread) {
        g_thread_join(p->thread);
    }
}

/* ---- the destination ---- */

static void begin(Migration *m, MigStateMachine *state, int fd, bool preempt)
{
    MigConfig *config = (MigConfig *)mig_config_freeze(mig_settings());

    mig_state_init(state, MIG_DST, on_state, NULL);
    g_assert(state_advance(state, MIG_STATE_NONE, MIG_STATE_SETUP) &&
             state_advance(state, MIG_STATE_SETUP, MIG_STATE_ACTIVE));
    config->cap[MIG_CAP_POSTCOPY_PREEMPT] = preempt;
    *m = (Migration){ .uri = (char *)"fuzz", .state = state, .config = config };
    g_mutex_init(&m->error_lock);
    machine_lock();
    m->ram_dest = ram_dest_new(m->config);
    machine_unlock();
    m->load = loadvm_new();
    m->channel = io_channel_socket_new(fd);
    m->in = stream_new_input(m->channel);
}

static void end(Migration *m, MigStateMachine *state)
{
    __atomic_store_n(&m->cancel, 1, __ATOMIC_RELEASE);
    migration_shutdown_channels(m);
    postcopy_dest_free(m->postcopy_dest);
    m->postcopy_dest = NULL;
    stream_free(m->in);
    return_path_send_free(m->rp_send);
    verify_free(m->verify);
    io_channel_unref(m->channel);
    io_channel_unref(m->urgent_channel);
    loadvm_free(m->load);
    ram_dest_free(m->ram_dest);
    mig_config_free((MigConfig *)m->config);
    g_clear_error(&m->error);
    g_mutex_clear(&m->error_lock);
    mig_state_clear(state);
}

/* Until the listen thread has ended (false) or waits for a connection for the n-th time. */
static bool paused(Migration *m, int n)
{
    while (__atomic_load_n(&pauses, __ATOMIC_ACQUIRE) < n &&
           !__atomic_load_n(&ended, __ATOMIC_ACQUIRE)) {
        mig_state_wait(m->state, mig_state_get(m->state), g_get_monotonic_time() + 500);
    }
    return !__atomic_load_n(&ended, __ATOMIC_ACQUIRE);
}

/* The source comes back, once; what it says then may lead to another pause. */
static void come_back(Migration *m, Peer *p, FuzzInput *in)
{
    int fd = peer_start(p, in->data, in->len);
    g_autofree char *uri = g_strdup_printf("fd:%d", fd);
    g_autoptr(MigrateAddress) a = migrate_address_parse(uri, NULL);

    g_assert(a && postcopy_dest_recover(m, a, NULL));
    paused(m, 2);
}

static void receive(Migration *m, Peer *again, FuzzInput *rest)
{
    Error *err = NULL;
    LoadResult result = LOAD_ERROR;

    if (loadvm_header(m, m->in, &err)) {
        result = loadvm_run(m, m->in, false, &err);
    }
    g_assert((result == LOAD_ERROR) == (err != NULL));
    if (!postcopy_dest_main_done(m, err)) {
        g_clear_error(&err);
        return;
    }
    if (paused(m, 1) && rest->len) {
        come_back(m, again, rest);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    bool preempt = fuzz_take_u8(&in) & PREEMPT;
    size_t len = fuzz_take_u8(&in) << 8;
    Peer first = { 0 }, second = { 0 };
    MigStateMachine state;
    Migration m;

    len |= fuzz_take_u8(&in);
    len = MIN(len, in.len);
    __atomic_store_n(&ended, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&pauses, 0, __ATOMIC_RELEASE);
    begin(&m, &state, peer_start(&first, in.data, len), preempt);
    in = (FuzzInput){ in.data + len, in.len - len };
    if (preempt) {
        m.urgent_channel = io_channel_socket_new(peer_start(&second, in.data, in.len));
        in.len = 0;
    }
    receive(&m, &second, &in);
    end(&m, &state);
    peer_join(&first);
    peer_join(&second);
    return 0;
}
