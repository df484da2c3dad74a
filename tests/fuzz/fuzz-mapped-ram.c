/*
 * Fuzz target: a mapped-ram file, loaded by a small machine `none`.  The first two bytes say how
 * many of the input's stand at the begin of the file; the others stand behind 2 MiB, where the
 * pages of the machine's block end if its header says nothing else.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "migration/config.h"
#include "migration/mapped-ram.h"
#include "migration/ram.h"
#include "migration/return-path.h"
#include "migration/state.h"
#include "migration/stream-internal.h"
#include "migration/verify.h"
#include "system/machine-lock.h"
#include "util/util.h"

#define RAM_SIZE (1 * MiB)
#define REST_AT (2 * MiB)

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const MigCapChange on = { MIG_CAP_MAPPED_RAM, true };

    fuzz_make_machine("none", RAM_SIZE);
    g_assert(mig_settings_set_caps(mig_settings(), &on, 1, false, NULL));
    return 0;
}

static IOChannel *file_of(FuzzInput *in)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    size_t front = fuzz_take_u8(in) << 8;

    front |= fuzz_take_u8(in);
    front = MIN(front, in->len);
    g_assert(fd >= 0 && ftruncate(fd, in->len > front ? REST_AT : 0) == 0);
    g_assert(pwrite(fd, in->data, front, 0) == (ssize_t)front);
    g_assert(pwrite(fd, in->data + front, in->len - front, REST_AT) ==
             (ssize_t)(in->len - front));
    return io_channel_file_new_fd(fd);
}

static void load(Migration *m)
{
    Error *err = NULL;
    LoadResult result = LOAD_ERROR;

    if (mapped_open(m, m->channel, &err) && loadvm_header(m, m->in, &err)) {
        result = loadvm_run(m, m->in, false, &err);
    }
    g_assert((result == LOAD_ERROR) == (err != NULL));
    if (result == LOAD_EOF && !loadvm_skip_vmdesc(m, m->in, &err)) {
        g_assert(err);
    }
    g_clear_error(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
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
    m.channel = file_of(&in);
    m.in = stream_new_input(m.channel);
    load(&m);
    stream_free(m.in);
    return_path_send_free(m.rp_send);
    verify_free(m.verify);
    io_channel_unref(m.pages_channel);
    io_channel_unref(m.channel);
    loadvm_free(m.load);
    ram_dest_free(m.ram_dest);
    mig_config_free((MigConfig *)m.config);
    g_clear_error(&m.error);
    g_mutex_clear(&m.error_lock);
    mig_state_clear(&state);
    return 0;
}
