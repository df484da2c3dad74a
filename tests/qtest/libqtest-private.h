/*
 * Private to libqtest: a machine under test, and the lines that go to and fro.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_LIBQTEST_PRIVATE_H
#define FERRY_TESTS_LIBQTEST_PRIVATE_H

#include "libqtest.h"

enum { IRQ_LINES = 256 };

/* A socket and what was received but not used yet. */
typedef struct Line {
    int fd;
    GString *in;
} Line;

struct QTestState {
    pid_t pid;
    bool exited;
    int status;
    char *dir, *command_line;
    bool has_qtest;
    Line qmp, qtest;
    GQueue events; /* of JsonObject* */
    unsigned next_id;
    bool irq[IRQ_LINES];
};

/* libqtest.c */
/* End the test: what is wrong, and what the emulator said. */
void fail(QTestState *s, const char *fmt, ...) G_GNUC_NORETURN G_GNUC_PRINTF(2, 3);
/* Monotonic time (us) that is so many milliseconds away. */
int64_t deadline_ms(int64_t ms);
/* One line without its end; NULL when none came by the deadline. */
char *line_get(QTestState *s, Line *line, int64_t deadline);
void put_all(QTestState *s, int fd, const char *text, size_t len);

/* libqtest-qmp.c */
/* Next JSON object of any kind, NULL when none came by the deadline. */
JsonObject *receive(QTestState *s, int64_t deadline);

#endif
