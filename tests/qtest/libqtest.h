/*
 * Harness of the qtests: starts emulators, talks qtest and QMP to them, ends them.
 *
 * Every function asserts (ends the test with a message, the emulator's stderr and its
 * command line) when the emulator does not do what is asked; those called *_error and
 * qtest_run() are for what should fail.  Waits end after QTEST_TIMEOUT seconds.  Any
 * number of machines may run at once; each has its own temporary directory, which goes
 * with it.  The emulator is $FERRY_BINARY.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_LIBQTEST_H
#define FERRY_TESTS_LIBQTEST_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define QTEST_TIMEOUT 30 /* seconds */

typedef struct QTestState QTestState;

/* ---- life ---- */

/*
 * Start with these arguments (printf form, then split as a shell would).  Without an
 * -accel or accel= among them "-accel qtest" is added.  QMP is negotiated.
 */
QTestState *qtest_init(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* The same without a qtest connection, for guests that run. */
QTestState *qtest_init_qmp(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* End with SIGTERM; it must exit with status 0.  Frees s. */
void qtest_quit(QTestState *s);
/* Kill it (SIGKILL).  Frees s. */
void qtest_kill(QTestState *s);
/* Wait for it to end by itself: exit status, or 128 + signal.  Does not free s. */
int qtest_wait_exit(QTestState *s);
bool qtest_is_running(QTestState *s);
pid_t qtest_pid(const QTestState *s);
/* Directory of this machine's files; qtest_path(): a name in it (g_free). */
const char *qtest_dir(const QTestState *s);
char *qtest_path(const QTestState *s, const char *name);
/* What it wrote to stderr so far; g_free(). */
char *qtest_stderr(const QTestState *s);

const char *qtest_binary(void);
/* Start this program from now on (path stays the caller's); NULL: Ferry again. */
void qtest_use_binary(const char *path);
bool qtest_have_kvm(void); /* /dev/kvm can be opened */
/* Run to the end with these arguments; exit status, outputs (may be NULL) to be freed. */
int qtest_run(char **ret_stdout, char **ret_stderr, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/* ---- QMP ---- */

/*
 * Run a command and return its reply's "return" (json_node_unref); it must succeed.
 * args is JSON in printf form, in which ' stands for "; NULL: none.
 */
JsonNode *qtest_qmp(QTestState *s, const char *command, const char *args, ...)
    G_GNUC_PRINTF(3, 4);
/* The same for commands that return an object (json_object_unref). */
JsonObject *qtest_qmp_object(QTestState *s, const char *command, const char *args, ...)
    G_GNUC_PRINTF(3, 4);
/* The same, result dropped. */
void qtest_qmp_ok(QTestState *s, const char *command, const char *args, ...)
    G_GNUC_PRINTF(3, 4);
/* It must fail: "CLASS: description" (g_free). */
char *qtest_qmp_error(QTestState *s, const char *command, const char *args, ...)
    G_GNUC_PRINTF(3, 4);
/* Send any text / receive any object that is no event (json_object_unref). */
void qtest_qmp_send_raw(QTestState *s, const char *text);
JsonObject *qtest_qmp_receive(QTestState *s);
/* Run a command with a descriptor attached (getfd, add-fd). */
JsonNode *qtest_qmp_fd(QTestState *s, int fd, const char *command, const char *args, ...)
    G_GNUC_PRINTF(4, 5);
/* Wait for the next event of this name; earlier others stay queued (json_object_unref). */
JsonObject *qtest_event_wait(QTestState *s, const char *name);
/* The same, if it is there within ms milliseconds; else NULL.  name NULL: any event. */
JsonObject *qtest_event_poll(QTestState *s, const char *name, unsigned ms);
void qtest_events_clear(QTestState *s);
/* HMP command through QMP: output (g_free). */
char *qtest_hmp(QTestState *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Wait until query-status says this. */
void qtest_wait_run_state(QTestState *s, const char *state);

/* ---- qtest ---- */

/* Send a line, return the words of the reply without "OK" (g_strfreev). */
char **qtest_command(QTestState *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Send a line, return the reply whole, whatever it is (g_free). */
char *qtest_command_raw(QTestState *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

uint8_t qtest_inb(QTestState *s, uint16_t port);
uint16_t qtest_inw(QTestState *s, uint16_t port);
uint32_t qtest_inl(QTestState *s, uint16_t port);
void qtest_outb(QTestState *s, uint16_t port, uint8_t value);
void qtest_outw(QTestState *s, uint16_t port, uint16_t value);
void qtest_outl(QTestState *s, uint16_t port, uint32_t value);
uint8_t qtest_readb(QTestState *s, uint64_t addr);
uint16_t qtest_readw(QTestState *s, uint64_t addr);
uint32_t qtest_readl(QTestState *s, uint64_t addr);
uint64_t qtest_readq(QTestState *s, uint64_t addr);
void qtest_writeb(QTestState *s, uint64_t addr, uint8_t value);
void qtest_writew(QTestState *s, uint64_t addr, uint16_t value);
void qtest_writel(QTestState *s, uint64_t addr, uint32_t value);
void qtest_writeq(QTestState *s, uint64_t addr, uint64_t value);
/* Any size: in pieces. */
void qtest_memread(QTestState *s, uint64_t addr, void *buf, size_t size);
void qtest_memwrite(QTestState *s, uint64_t addr, const void *buf, size_t size);
void qtest_memset(QTestState *s, uint64_t addr, uint8_t value, size_t size);

/* Clock in ns: to the next timer / by ns / to ns; the clock afterwards. */
int64_t qtest_clock_step_next(QTestState *s);
int64_t qtest_clock_step(QTestState *s, int64_t ns);
int64_t qtest_clock_set(QTestState *s, int64_t ns);

void qtest_irq_intercept_in(QTestState *s, const char *path);
void qtest_irq_intercept_out(QTestState *s, const char *path);
/* Level of an intercepted line as last heard. */
bool qtest_irq(QTestState *s, int n);

#endif
