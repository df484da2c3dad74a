/*
 * The fault matrix: what holds when something fails in a state of a migration.  One row a cell.
 * tests/qtest/test-fault-matrix.c runs every row; scripts/fault-matrix-doc prints them as
 * docs/user/fault-matrix.md, and checks that each state of the protocol and each fault point is in it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_TESTS_FAULT_MATRIX_H
#define FERRY_TESTS_FAULT_MATRIX_H

/* X(id, source's state, destination's state, where the migration is held) */
#define MATRIX_STATES(X)                                                                          \
    X(SETUP, "setup", "setup", "the source is about to connect")                                  \
    X(ACTIVE, "active", "active", "pages are on their way, the guest runs at the source")         \
    X(PRE_SWITCHOVER, "pre-switchover", "active", "the guest stands until migrate-continue")      \
    X(DEVICE, "device", "active", "the guest stands, its devices are not sent yet")               \
    X(DEVICE_END, "device", "active", "all is sent and loaded, but for the stream's end")         \
    X(DEVICE_SENT, "device", "completed", "the end is sent, the destination's SHUT is on its way") \
    X(PC_DEVICE, "postcopy-device", "postcopy-device",                                            \
      "the package is sent, the destination has not promised to run the guest")                   \
    X(PC_PROMISED, "postcopy-device", "postcopy-active",                                          \
      "the guest runs at the destination, the word of it is on its way")                          \
    X(PC_ACTIVE, "postcopy-active", "postcopy-active", "the guest runs at the destination")       \
    X(PC_PAUSED, "postcopy-paused", "postcopy-paused", "the connection is broken already")        \
    X(PC_RECOVER_SETUP, "postcopy-recover-setup", "postcopy-paused",                              \
      "the source is about to connect again")                                                     \
    X(PC_RECOVER, "postcopy-recover", "postcopy-recover", "the two sides agree on what is missing")

/* X(id, in the table's head) */
#define MATRIX_FAULTS(X)                                                                          \
    X(SRC_KILLED, "source killed")                                                                \
    X(DST_KILLED, "destination killed")                                                           \
    X(CUT, "connection cut")                                                                      \
    X(STALL, "connection stalls for longer than `x-peer-timeout`")                                \
    X(GARBAGE_DST, "garbage to the destination")                                                  \
    X(GARBAGE_SRC, "garbage to the source")                                                       \
    X(DISK_FULL, "disk full")                                                                     \
    X(ALLOC, "no memory for what the peer announces")                                             \
    X(MONITOR, "monitor disconnects")

/* X(id, what holds, what the operator sees, what the operator does) */
#define MATRIX_OUTCOMES(X)                                                                        \
    X(IMPOSSIBLE, "cannot be", "", "")                                                            \
    X(GOES_ON, "no effect: the migration completes", "nothing", "connect the monitor again")      \
    X(RUNS_AT_SOURCE, "the guest runs on at the source, whole; its next migration works",          \
      "source `failed` with a reason and `running`; destination `failed`, waiting, or gone",      \
      "mend the cause, migrate again")                                                          \
    X(LOST_WITH_SOURCE, "the guest ends with the host that had it; it runs nowhere else",          \
      "destination `failed`, or still waiting in `setup`", "restart the guest")                  \
    X(DST_HAS_IT, "the guest runs at the destination, whole",                                     \
      "destination `completed` and `running`",                                                    \
      "nothing; what is left of the source may be ended")                                         \
    X(STANDS, "the guest runs at the destination, whole, and stands at the source, which "        \
      "cannot know it",                                                                           \
      "source `failed` and `postmigrate`; destination `completed` and `running`",                 \
      "look at the destination, end the source")                                                \
    X(STANDS_CONT,                                                                                \
      "the guest stands at the source, whole, which cannot know that it runs nowhere",            \
      "source `failed` and `postmigrate`; the destination is gone, `failed`, or still waits",      \
      "make sure that the guest does not run at the destination, end that, then `cont` "          \
      "at the source")                                                                            \
    X(UNCONFIRMED_CANCEL,                                                                         \
      "the guest stands at the source, whole, which cannot know that it runs nowhere",            \
      "source `postcopy-paused`, `error-desc` says that the destination has not said "            \
      "whether it runs the guest; the destination is gone or `failed`",                           \
      "look at the destination, then `migrate_cancel` at the source: the guest runs on there")   \
    X(PAUSED, "nothing is lost: the guest runs at the destination on what has come, the source "  \
      "keeps the rest",                                                                           \
      "both sides `postcopy-paused`; destination `running`, source `finish-migrate`",             \
      "`migrate_recover`, `migrate -r`: [recovery](recovery.md)")                                 \
    X(SRC_LOST, "the pages that had not come are gone with their host; the guest runs until it "  \
      "needs one",                                                                                \
      "destination `postcopy-paused` and `running`",                                              \
      "save what can be saved in the guest, restart it")                                          \
    X(DST_LOST, "what the guest did since the switch is gone with its host; it runs nowhere",      \
      "source `postcopy-paused` and `finish-migrate`; `migrate_cancel` and `cont` are refused",   \
      "end the source, restart the guest")

/* X(state, fault, outcome, fault point that the cell orders or "", what is special about it) */
#define MATRIX_CELLS(X)                                                                           \
    X(SETUP, SRC_KILLED, LOST_WITH_SOURCE, "src-setup", "")                                        \
    X(SETUP, DST_KILLED, RUNS_AT_SOURCE, "src-setup", "")                                         \
    X(SETUP, CUT, RUNS_AT_SOURCE, "src-setup", "it breaks as soon as it is made")                 \
    X(SETUP, STALL, RUNS_AT_SOURCE, "src-setup", "")                                              \
    X(SETUP, GARBAGE_DST, RUNS_AT_SOURCE, "src-setup", "")                                        \
    X(SETUP, GARBAGE_SRC, RUNS_AT_SOURCE, "src-setup", "")                                        \
    X(SETUP, DISK_FULL, RUNS_AT_SOURCE, "channel-no-space",                                       \
      "with `file:`; there is no destination")                                                    \
    X(SETUP, ALLOC, RUNS_AT_SOURCE, "alloc-wire", "")                                             \
    X(SETUP, MONITOR, GOES_ON, "src-setup", "")                                                   \
    X(ACTIVE, SRC_KILLED, LOST_WITH_SOURCE, "", "")                                               \
    X(ACTIVE, DST_KILLED, RUNS_AT_SOURCE, "", "")                                                 \
    X(ACTIVE, CUT, RUNS_AT_SOURCE, "", "")                                                        \
    X(ACTIVE, STALL, RUNS_AT_SOURCE, "", "")                                                      \
    X(ACTIVE, GARBAGE_DST, RUNS_AT_SOURCE, "", "")                                                \
    X(ACTIVE, GARBAGE_SRC, RUNS_AT_SOURCE, "", "")                                                \
    X(ACTIVE, DISK_FULL, RUNS_AT_SOURCE, "channel-no-space",                                      \
      "with `file:`; there is no destination")                                                    \
    X(ACTIVE, ALLOC, RUNS_AT_SOURCE, "alloc-wire", "")                                            \
    X(ACTIVE, MONITOR, GOES_ON, "", "")                                                           \
    X(PRE_SWITCHOVER, SRC_KILLED, LOST_WITH_SOURCE, "", "")                                       \
    X(PRE_SWITCHOVER, DST_KILLED, RUNS_AT_SOURCE, "", "noticed at `migrate-continue`")            \
    X(PRE_SWITCHOVER, CUT, RUNS_AT_SOURCE, "", "noticed at `migrate-continue`")                   \
    X(PRE_SWITCHOVER, STALL, RUNS_AT_SOURCE, "", "counts from `migrate-continue` on")             \
    X(PRE_SWITCHOVER, GARBAGE_DST, RUNS_AT_SOURCE, "", "noticed at `migrate-continue`")           \
    X(PRE_SWITCHOVER, GARBAGE_SRC, RUNS_AT_SOURCE, "", "noticed at `migrate-continue`")           \
    X(PRE_SWITCHOVER, DISK_FULL, RUNS_AT_SOURCE, "channel-no-space",                              \
      "with `file:`; there is no destination")                                                    \
    X(PRE_SWITCHOVER, ALLOC, RUNS_AT_SOURCE, "alloc-wire", "")                                    \
    X(PRE_SWITCHOVER, MONITOR, GOES_ON, "", "")                                                   \
    X(DEVICE, SRC_KILLED, LOST_WITH_SOURCE, "src-device", "")                                     \
    X(DEVICE, DST_KILLED, RUNS_AT_SOURCE, "src-device", "")                                       \
    X(DEVICE, CUT, RUNS_AT_SOURCE, "src-device", "")                                              \
    X(DEVICE, STALL, RUNS_AT_SOURCE, "src-device", "")                                            \
    X(DEVICE, GARBAGE_DST, RUNS_AT_SOURCE, "src-device", "")                                      \
    X(DEVICE, GARBAGE_SRC, RUNS_AT_SOURCE, "src-device", "")                                      \
    X(DEVICE, DISK_FULL, RUNS_AT_SOURCE, "channel-no-space",                                      \
      "with `file:`; there is no destination")                                                    \
    X(DEVICE, ALLOC, RUNS_AT_SOURCE, "alloc-wire", "")                                            \
    X(DEVICE, MONITOR, GOES_ON, "src-device", "")                                                 \
    X(DEVICE_END, SRC_KILLED, LOST_WITH_SOURCE, "src-loaded", "")                                 \
    X(DEVICE_END, DST_KILLED, RUNS_AT_SOURCE, "src-loaded", "")                                   \
    X(DEVICE_END, CUT, RUNS_AT_SOURCE, "src-loaded", "")                                          \
    X(DEVICE_END, STALL, STANDS_CONT, "src-loaded", "the end is written, and never arrives")      \
    X(DEVICE_END, GARBAGE_DST, RUNS_AT_SOURCE, "src-loaded", "")                                  \
    X(DEVICE_END, GARBAGE_SRC, RUNS_AT_SOURCE, "src-loaded", "")                                  \
    X(DEVICE_END, DISK_FULL, RUNS_AT_SOURCE, "channel-no-space",                                  \
      "with `file:`; there is no destination")                                                    \
    X(DEVICE_END, ALLOC, IMPOSSIBLE, "", "the end is one byte")                                   \
    X(DEVICE_END, MONITOR, GOES_ON, "src-loaded", "")                                             \
    X(DEVICE_SENT, SRC_KILLED, DST_HAS_IT, "src-loaded", "")                                      \
    X(DEVICE_SENT, DST_KILLED, STANDS_CONT, "src-loaded",                                         \
      "what the guest did in between is gone with the destination")                               \
    X(DEVICE_SENT, CUT, STANDS, "src-loaded", "")                                                 \
    X(DEVICE_SENT, STALL, STANDS, "src-loaded", "")                                               \
    X(DEVICE_SENT, GARBAGE_DST, IMPOSSIBLE, "", "the destination reads nothing any more")         \
    X(DEVICE_SENT, GARBAGE_SRC, STANDS, "src-loaded", "")                                         \
    X(DEVICE_SENT, DISK_FULL, IMPOSSIBLE, "", "nothing is written any more")                      \
    X(DEVICE_SENT, ALLOC, IMPOSSIBLE, "", "nothing but SHUT is read any more")                    \
    X(DEVICE_SENT, MONITOR, GOES_ON, "src-loaded", "")                                            \
    X(PC_DEVICE, SRC_KILLED, LOST_WITH_SOURCE, "dst-promise", "")                                 \
    X(PC_DEVICE, DST_KILLED, UNCONFIRMED_CANCEL, "dst-promise", "")                               \
    X(PC_DEVICE, CUT, UNCONFIRMED_CANCEL, "dst-promise", "")                                      \
    X(PC_DEVICE, STALL, UNCONFIRMED_CANCEL, "dst-promise", "")                                    \
    X(PC_DEVICE, GARBAGE_DST, RUNS_AT_SOURCE, "dst-promise",                                      \
      "the destination says that it failed")                                                      \
    X(PC_DEVICE, GARBAGE_SRC, UNCONFIRMED_CANCEL, "dst-promise", "")                              \
    X(PC_DEVICE, DISK_FULL, IMPOSSIBLE, "", "postcopy writes no file")                            \
    X(PC_DEVICE, ALLOC, IMPOSSIBLE, "", "pages go into memory that is there")                     \
    X(PC_DEVICE, MONITOR, GOES_ON, "dst-promise", "")                                             \
    X(PC_PROMISED, SRC_KILLED, SRC_LOST, "", "")                                                  \
    X(PC_PROMISED, DST_KILLED, UNCONFIRMED_CANCEL, "",                                            \
      "what the guest did since the switch is gone with the destination")                         \
    X(PC_PROMISED, CUT, PAUSED, "",                                                               \
      "the source does not know that the guest runs there, and says so")                          \
    X(PC_PROMISED, STALL, PAUSED, "",                                                             \
      "the source does not know that the guest runs there, and says so")                          \
    X(PC_PROMISED, GARBAGE_DST, PAUSED, "", "")                                                   \
    X(PC_PROMISED, GARBAGE_SRC, PAUSED, "",                                                       \
      "the source does not know that the guest runs there, and says so")                          \
    X(PC_PROMISED, DISK_FULL, IMPOSSIBLE, "", "postcopy writes no file")                          \
    X(PC_PROMISED, ALLOC, IMPOSSIBLE, "", "pages go into memory that is there")                   \
    X(PC_PROMISED, MONITOR, GOES_ON, "", "")                                                      \
    X(PC_ACTIVE, SRC_KILLED, SRC_LOST, "", "")                                                    \
    X(PC_ACTIVE, DST_KILLED, DST_LOST, "", "")                                                    \
    X(PC_ACTIVE, CUT, PAUSED, "", "")                                                             \
    X(PC_ACTIVE, STALL, PAUSED, "", "")                                                           \
    X(PC_ACTIVE, GARBAGE_DST, PAUSED, "",                                                         \
      "noticed between two records; inside of a page only [TLS](tls.md) notices")                 \
    X(PC_ACTIVE, GARBAGE_SRC, PAUSED, "", "")                                                     \
    X(PC_ACTIVE, DISK_FULL, IMPOSSIBLE, "", "postcopy writes no file")                            \
    X(PC_ACTIVE, ALLOC, IMPOSSIBLE, "", "pages go into memory that is there")                     \
    X(PC_ACTIVE, MONITOR, GOES_ON, "", "")                                                        \
    X(PC_PAUSED, SRC_KILLED, SRC_LOST, "", "")                                                    \
    X(PC_PAUSED, DST_KILLED, DST_LOST, "", "")                                                    \
    X(PC_PAUSED, CUT, IMPOSSIBLE, "", "there is no connection")                                   \
    X(PC_PAUSED, STALL, IMPOSSIBLE, "", "there is no connection")                                 \
    X(PC_PAUSED, GARBAGE_DST, IMPOSSIBLE, "", "there is no connection")                           \
    X(PC_PAUSED, GARBAGE_SRC, IMPOSSIBLE, "", "there is no connection")                           \
    X(PC_PAUSED, DISK_FULL, PAUSED, "carry-write",                                                \
      "while the rest is written to [a file](carry.md), of which nothing is left")                \
    X(PC_PAUSED, ALLOC, IMPOSSIBLE, "", "nothing is read")                                        \
    X(PC_PAUSED, MONITOR, PAUSED, "", "stays as it is")                                           \
    X(PC_RECOVER_SETUP, SRC_KILLED, SRC_LOST, "src-recover-setup", "")                            \
    X(PC_RECOVER_SETUP, DST_KILLED, DST_LOST, "src-recover-setup", "")                            \
    X(PC_RECOVER_SETUP, CUT, PAUSED, "src-recover-setup", "it breaks as soon as it is made")      \
    X(PC_RECOVER_SETUP, STALL, PAUSED, "src-recover-setup", "")                                   \
    X(PC_RECOVER_SETUP, GARBAGE_DST, PAUSED, "src-recover-setup", "")                             \
    X(PC_RECOVER_SETUP, GARBAGE_SRC, PAUSED, "src-recover-setup", "")                             \
    X(PC_RECOVER_SETUP, DISK_FULL, IMPOSSIBLE, "", "postcopy writes no file")                     \
    X(PC_RECOVER_SETUP, ALLOC, PAUSED, "alloc-wire", "")                                          \
    X(PC_RECOVER_SETUP, MONITOR, GOES_ON, "src-recover-setup", "")                                \
    X(PC_RECOVER, SRC_KILLED, SRC_LOST, "src-resume", "")                                         \
    X(PC_RECOVER, DST_KILLED, DST_LOST, "src-resume", "")                                         \
    X(PC_RECOVER, CUT, PAUSED, "src-resume", "")                                                  \
    X(PC_RECOVER, STALL, PAUSED, "src-resume", "")                                                \
    X(PC_RECOVER, GARBAGE_DST, PAUSED, "src-resume", "")                                          \
    X(PC_RECOVER, GARBAGE_SRC, PAUSED, "src-resume", "")                                          \
    X(PC_RECOVER, DISK_FULL, IMPOSSIBLE, "", "postcopy writes no file")                           \
    X(PC_RECOVER, ALLOC, PAUSED, "alloc-wire", "")                                                \
    X(PC_RECOVER, MONITOR, GOES_ON, "src-resume", "")

/*
 * Failures of the host and connections that break at one moment: X(point, side that it is armed at,
 * is it a postcopy, outcome, what is special about it)
 */
#define MATRIX_POINTS(X)                                                                          \
    X("thread", "source", false, RUNS_AT_SOURCE, "the command fails, or the migration")           \
    X("thread", "destination", false, RUNS_AT_SOURCE, "")                                         \
    X( "thread", "destination", true, RUNS_AT_SOURCE,                                             \
      "the threads of postcopy: it fails before LISTEN")                                          \
    X("channel-write", "source", false, RUNS_AT_SOURCE, "")                                       \
    X("channel-write", "destination", false, RUNS_AT_SOURCE, "its first answer")                  \
    X("channel-short", "source", false, GOES_ON, "")                                              \
    X("channel-short", "source", true, GOES_ON, "")                                               \
    X("uffd-copy", "destination", true, PAUSED, "the page is sent again")                         \
    X("device-save", "source", false, RUNS_AT_SOURCE, "")                                         \
    X("device-save", "source", true, RUNS_AT_SOURCE, "")                                          \
    X("device-load", "destination", false, RUNS_AT_SOURCE, "")                                    \
    X("device-load", "destination", true, RUNS_AT_SOURCE, "the destination says that it failed")  \
    X( "dst-pong", "destination", false, RUNS_AT_SOURCE, "after `x-peer-timeout`")                \
    X("src-device", "source", false, RUNS_AT_SOURCE, "")                                          \
    X("src-loaded", "source", false, RUNS_AT_SOURCE, "")                                          \
    X("src-last-page", "source", true, PAUSED, "")                                                \
    X("dst-header", "destination", false, RUNS_AT_SOURCE, "")                                     \
    X("dst-eof", "destination", false, STANDS, "")                                                \
    X("dst-shut", "destination", false, STANDS, "")                                               \
    X("dst-listen", "destination", true, UNCONFIRMED_CANCEL, "")                                  \
    X("dst-promise", "destination", true, UNCONFIRMED_CANCEL, "it has not promised: it gives up") \
    X("dst-run", "destination", true, PAUSED, "it has promised: it runs the guest")               \
    X("dst-resume-ack", "destination", true, PAUSED, "in a recovery")                             \
    X( "carry-read", "destination", true, PAUSED,                                                 \
      "the rest by [a file](carry.md): what could be read is there")

#endif
