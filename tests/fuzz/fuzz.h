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

/* The input, taken apart from the front; what is not there is zero. */
typedef struct FuzzInput {
    const uint8_t *data;
    size_t len;
} FuzzInput;
uint8_t fuzz_take_u8(FuzzInput *in);
/* A NUL-terminated copy of all that is left, up to its first NUL. */
char *fuzz_take_text(FuzzInput *in);

#endif
