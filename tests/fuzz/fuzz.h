/*
 * What every fuzz target has: the entry points that libFuzzer calls, and machines to load
 * things into.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_FUZZ_H
#define FERRY_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "migration/migration-int.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Make a machine that runs nothing (accelerator qtest).  Ends the process when it cannot. */
void fuzz_make_machine(const char *type, uint64_t ram_size);
/* q35 with everything that can be added to it. */
void fuzz_make_pc(uint64_t ram_size);

/*
 * While this is on, nothing that the program does reaches what is outside of it: no file is
 * opened or removed, no connection or process made, no signal sent, no large memory mapped
 * (fuzz-outside.c).  Such a call fails with EACCES or ENOMEM.
 */
void fuzz_isolate(bool on);
/* Run fn; false: it wanted to end the process. */
bool fuzz_survive(void (*fn)(void *opaque), void *opaque);

/* What -object, object-add, -chardev and chardev-add have made is removed. */
void fuzz_drop_objects(void);
void fuzz_drop_chardevs(void);
/* Let the main thread do what waits for it, until a migration that was started has ended. */
void fuzz_run_main_loop(void);

/* The input, taken apart from the front; what is not there is zero. */
typedef struct FuzzInput {
    const uint8_t *data;
    size_t len;
} FuzzInput;
uint8_t fuzz_take_u8(FuzzInput *in);
/* A NUL-terminated copy of all that is left, up to its first NUL. */
char *fuzz_take_text(FuzzInput *in);

#endif
