/*
 * Guest memory to files, for QMP and HMP.  Machine lock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_MEMORY_SAVE_H
#define FERRY_MEMORY_SAVE_H

#include "system/cpus.h"
#include "util/error.h"

/* Write [addr, addr+size) to a file; physical holes as 0xff, unmapped virtual ones are an error. */
bool memory_save_physical(uint64_t addr, int64_t size, const char *filename, Error **errp);
bool memory_save_virtual(CPUState *cpu, uint64_t addr, int64_t size, const char *filename,
                         Error **errp);
/* Read guest memory as cpu sees it; false when part of it is not mapped. */
bool memory_read_virtual(CPUState *cpu, uint64_t addr, void *buf, uint64_t len);

#endif
