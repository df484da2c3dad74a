/*
 * Fuzz target: lines of the qtest protocol, and with them everything that a guest's CPU can do to the
 * devices of a PC: ports, memory, interrupt lines, and time that goes by.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "chardev/backend.h"
#include "system/clock.h"
#include "system/cmdline-private.h"
#include "system/machine-lock.h"
#include "util/util.h"

/* A device that asks for a tick every microsecond gets all of them: time is not to be long. */
#define CLOCK_MAX_NS (200 * 1000 * 1000)

static Chardev *chr;

static void find_qtest(Chardev *c, void *opaque)
{
    if (g_str_equal(chardev_id(c), "qtest")) {
        chr = c;
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_make_pc(4 * MiB);
    MACHINE_LOCK_GUARD();
    g_assert(qtest_start("null", "none", NULL));
    chardev_foreach(find_qtest, NULL);
    g_assert(chr);
    return 0;
}

static void line(const char *text, size_t len)
{
    g_autofree char *copy = g_strndup(text, len);
    const char *number = g_str_has_prefix(copy, "clock_") ? strchr(copy, ' ') : NULL;
    uint64_t to = number ? strtoull(number + 1, NULL, 0) : 0;

    if (g_str_has_prefix(copy, "clock_set") ? to > (uint64_t)virtual_clock_ns() + CLOCK_MAX_NS
                                            : to > CLOCK_MAX_NS) {
        return;
    }
    chr->h.read(chr->h.opaque, (const uint8_t *)text, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;

    MACHINE_LOCK_GUARD();
    chr->h.event(chr->h.opaque, CHARDEV_OPENED);
    fuzz_isolate(true);
    while (at < end) {
        const char *eol = memchr(at, '\n', end - at);
        size_t len = eol ? (size_t)(eol + 1 - at) : (size_t)(end - at);

        line(at, len);
        at += len;
    }
    fuzz_run_main_loop();
    fuzz_isolate(false);
    return 0;
}
