/*
 * Fuzz target: all bytes of a multifd channel, as its thread on the destination reads them.  The
 * first byte chooses the compression; the main channel meets every SYNC.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"
#include "migration/config.h"
#include "migration/multifd/multifd.h"
#include "migration/ram.h"
#include "migration/state.h"
#include "system/machine-lock.h"
#include "util/bitmap.h"
#include "util/util.h"

#define RAM_SIZE (1 * MiB)

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_make_machine("none", RAM_SIZE);
    return 0;
}

/* Until the channel is over: an error, or its end without another SYNC. */
static void meet(Migration *m)
{
    Error *err = NULL;

    while (multifd_recv_sync(m->multifd_recv, &err)) {
        g_assert(!err);
    }
    g_assert(err);
    g_clear_error(&err);
    g_assert(multifd_recv_no_more_pages(m->multifd_recv, &err) == !err);
    g_clear_error(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    MigStateMachine state;
    Migration m = { .uri = (char *)"fuzz", .state = &state };
    MigConfig *config = (MigConfig *)mig_config_freeze(mig_settings());

    config->multifd_compression = fuzz_take_u8(&in) % 3;
    config->multifd_channels = 1;
    m.config = config;
    mig_state_init(&state, MIG_DST, NULL, NULL);
    g_mutex_init(&m.error_lock);
    machine_lock();
    m.ram_dest = ram_dest_new(config);
    machine_unlock();
    m.channel = io_channel_buffer_new(NULL, 0);
    m.multifd_recv = m.ram_dest->multifd = multifd_recv_new(&m);
    multifd_recv_add(m.multifd_recv, io_channel_buffer_new(in.data, in.len));
    meet(&m);
    multifd_recv_free(m.multifd_recv);
    /* What a channel that failed has left for the main thread. */
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    ram_dest_free(m.ram_dest);
    io_channel_unref(m.channel);
    mig_config_free(config);
    g_clear_error(&m.error);
    g_mutex_clear(&m.error_lock);
    mig_state_clear(&state);
    return 0;
}
