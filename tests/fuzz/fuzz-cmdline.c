/*
 * Fuzz target: the command line.  Each line of the text is an argument.  Parsing, what is
 * derived of it, the character devices, the objects and the process's own options are carried out, and
 * undone; the machine is not made.  Nothing leaves the process (fuzz-outside.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"

#include <string.h>

#include "system/cmdline-private.h"
#include "system/machine-lock.h"
#include "util/util.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_make_machine("none", 1 * MiB);
    return 0;
}

typedef struct Args {
    int n;
    char **words;
} Args;

static void derive(const Cmdline *c)
{
    const MachineClass *mc = cmdline_machine_class(c, NULL);
    SMPConfig smp;
    uint64_t ram = 0;

    if (mc && cmdline_smp_config(c, mc, &smp, NULL)) {
        g_assert(smp.cpus && smp.cpus <= smp.max_cpus && smp.max_cpus <= MAX(mc->max_cpus, 1));
        g_assert(smp.sockets * smp.dies * smp.cores * smp.threads == smp.max_cpus);
    }
    if (mc) {
        cmdline_ram_size(c, mc, &ram, NULL);
    }
}

static void run(void *opaque)
{
    Args *a = opaque;
    Cmdline c;
    Error *err = NULL;
    bool ok = cmdline_parse(&c, a->n, a->words, &err);

    g_assert(ok == !err);
    g_clear_error(&err);
    if (ok) {
        derive(&c);
        ok = startup_chardevs(&c, &err) && startup_early_objects(&c, &err);
        g_assert(ok == !err);
        g_clear_error(&err);
    }
    cmdline_clear(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    g_autofree char *text = fuzz_take_text(&in);
    g_autofree char *all = g_strconcat("fuzz\n", text, NULL);
    g_auto(GStrv) words = g_strsplit(all, "\n", -1);
    Args args = { g_strv_length(words), words };

    MACHINE_LOCK_GUARD();
    if (strstr(text, "monitor-") || strstr(text, "stdio") || strstr(text, "qtest")) {
        return 0; /* they stay until the end of the process */
    }
    fuzz_isolate(true);
    fuzz_survive(run, &args);
    fuzz_run_main_loop();
    fuzz_drop_objects();
    fuzz_drop_chardevs();
    fuzz_isolate(false);
    return 0;
}
