/*
 * Machines whose memory is a file, so that a test fills and compares it from outside: any
 * emulator, with or without a CPU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_MIGRATION_FILE_RAM_H
#define FERRY_TESTS_MIGRATION_FILE_RAM_H

#include "libqtest.h"

/* A source and a destination of one machine type. */
typedef struct FilePair {
    char *dir;
    char *from_mem, *to_mem;    /* files in dir */
    unsigned mib;
    QTestState *from, *to;
} FilePair;

/*
 * Start both (program NULL: Ferry); `from`'s memory has pages of zeros and of random words
 * in runs.  The destination waits (-incoming defer); both have events on and no bandwidth
 * limit.  more: arguments of both.
 */
FilePair file_pair_new(const char *from_program, const char *to_program, const char *machine,
                       unsigned mib, const char *more);
/* Only the source: Ferry / any program. */
FilePair file_pair_source(const char *machine, unsigned mib, const char *more);
FilePair file_pair_source_of(const char *program, const char *machine, unsigned mib,
                             const char *more);
/* (Re)start the destination with this -incoming argument and more arguments. */
void file_pair_destination(FilePair *p, const char *program, const char *machine,
                           const char *incoming, const char *more);
void file_pair_free(FilePair *p);
/* The memory of both is the same. */
void file_pair_compare(FilePair *p);
char *file_pair_path(const FilePair *p, const char *name);

void mig_cap(QTestState *s, const char *name, bool on);
/* Wait until query-migrate has this status; another end fails the test.  The info. */
JsonObject *mig_wait(QTestState *s, const char *status);
/* migrate-incoming, migrate, both completed, memory equal. */
void file_pair_migrate(FilePair *p, const char *to_uri, const char *from_uri);
/* Statuses of the events so far, "setup,active,PASS,STOP,..." (g_free). */
char *mig_events(QTestState *s);

#endif
