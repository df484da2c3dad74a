/*
 * Fuzz target: what a destination says on the return path, as the source's thread hears it.
 * The first byte says where the source is: in precopy, in postcopy, or mending a postcopy
 * that broke, when the received bitmaps come; the rest are the messages.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"
#include "migration/config.h"
#include "migration/ram.h"
#include "migration/return-path.h"
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

static void advance(MigStateMachine *state, unsigned place)
{
    static const MigState path[] = {
        MIG_STATE_NONE, MIG_STATE_SETUP, MIG_STATE_ACTIVE, MIG_STATE_DEVICE,
        MIG_STATE_POSTCOPY_DEVICE, MIG_STATE_POSTCOPY_ACTIVE, MIG_STATE_POSTCOPY_PAUSED,
        MIG_STATE_POSTCOPY_RECOVER_SETUP, MIG_STATE_POSTCOPY_RECOVER,
    };
    static const unsigned steps[] = { 3, 5, ARRAY_SIZE(path) };

    for (unsigned i = 0; i + 1 < steps[place]; i++) {
        g_assert(state_advance(state, path[i], path[i + 1]));
    }
}

/* What was asked for is inside the block. */
static void check_requests(Migration *m)
{
    PageRun run;

    while (urgent_next(m->ram, &run)) {
        g_assert(run.n && run.page + run.n <= run.b->pages);
    }
}

/* A bitmap says what is still to be sent: so much, and nothing outside. */
static void check_bitmaps(Migration *m)
{
    for (unsigned i = 0; i < m->ram->n_blocks; i++) {
        RamSourceBlock *b = &m->ram->blocks[i];
        uint64_t missing;

        if (b->received) {
            missing = b->pages - bitmap_count(b->received, 0, b->pages);
            ram_dirty_set_missing(m->ram, b);
            g_assert(bitmap_count(b->dirty, 0, b->pages) == missing);
        }
    }
    g_assert(ram_dirty_check(m->ram));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    unsigned place = fuzz_take_u8(&in) % 3;
    MigStateMachine state;
    Migration m = { .source = true, .uri = (char *)"fuzz", .state = &state };
    Error *err = NULL;
    bool ok;

    mig_state_init(&state, MIG_SRC, NULL, NULL);
    advance(&state, place);
    g_mutex_init(&m.error_lock);
    m.config = mig_config_freeze(mig_settings());
    m.channel = io_channel_buffer_new(in.data, in.len);
    machine_lock();
    m.ram = ram_source_new(m.config, true);
    machine_unlock();
    m.return_path = return_path_start(&m, NULL);
    ok = return_path_join(m.return_path, &err);
    g_assert(ok == !err);
    g_clear_error(&err);
    check_requests(&m);
    check_bitmaps(&m);
    return_path_free(m.return_path);
    ram_source_free(m.ram);
    io_channel_unref(m.channel);
    mig_config_free((MigConfig *)m.config);
    g_mutex_clear(&m.error_lock);
    mig_state_clear(&state);
    return 0;
}
