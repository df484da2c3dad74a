/*
 * Fuzz target: a whole main stream, loaded by a small machine `none`: header, sections,
 * commands, packages, pages, description.  The input is the stream.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"
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

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_make_machine("none", RAM_SIZE);
    return 0;
}

static void load(Migration *m)
{
    Error *err = NULL;
    LoadResult result = LOAD_ERROR;

    if (loadvm_header(m, m->in, &err)) {
        result = loadvm_run(m, m->in, false, &err);
    }
    g_assert((result == LOAD_ERROR) == (err != NULL));
    if (result == LOAD_EOF && !loadvm_skip_vmdesc(m, m->in, &err)) {
        g_assert(err);
    }
    /* Postcopy is off in this process: nobody may have switched to it. */
    g_assert(!m->postcopy_dest);
    g_clear_error(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MigStateMachine state;
    Migration m = { .uri = (char *)"fuzz", .state = &state };

    mig_state_init(&state, MIG_DST, NULL, NULL);
    g_assert(state_advance(&state, MIG_STATE_NONE, MIG_STATE_SETUP) &&
             state_advance(&state, MIG_STATE_SETUP, MIG_STATE_ACTIVE));
    g_mutex_init(&m.error_lock);
    m.config = mig_config_freeze(mig_settings());
    machine_lock();
    m.ram_dest = ram_dest_new(m.config);
    machine_unlock();
    m.load = loadvm_new();
    m.channel = io_channel_buffer_new(NULL, 0);
    m.channel->two_way = true;
    m.in = stream_new_input_memory(data, size);
    load(&m);
    stream_free(m.in);
    return_path_send_free(m.rp_send);
    verify_free(m.verify);
    io_channel_unref(m.channel);
    loadvm_free(m.load);
    ram_dest_free(m.ram_dest);
    mig_config_free((MigConfig *)m.config);
    g_clear_error(&m.error);
    g_mutex_clear(&m.error_lock);
    mig_state_clear(&state);
    return 0;
}
