/*
 * Fuzz target: keys of a human monitor, of a PC that waits for a migration: line editing, completion,
 * arguments and the commands.  Nothing leaves the process (fuzz-outside.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"

#include "chardev/backend.h"
#include "monitor/monitor.h"
#include "system/machine-lock.h"
#include "util/util.h"

static Chardev *terminal;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_make_pc(4 * MiB);
    MACHINE_LOCK_GUARD();
    terminal = chardev_new_from_short("terminal", "null", NULL);
    g_assert(terminal && monitor_new_hmp(terminal, true, NULL));
    return 0;
}

/* A key at a time, as the monitor asks for them; none is asked for while `migrate` goes on. */
static void type(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!terminal->h.can_read(terminal->h.opaque)) {
            fuzz_run_main_loop();
        }
        if (terminal->h.can_read(terminal->h.opaque)) {
            terminal->h.read(terminal->h.opaque, data + i, 1);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MACHINE_LOCK_GUARD();
    fuzz_isolate(true);
    type(data, size);
    type((const uint8_t *)"\n", 1);
    fuzz_run_main_loop();
    fuzz_drop_objects();
    fuzz_drop_chardevs();
    fuzz_isolate(false);
    return 0;
}
