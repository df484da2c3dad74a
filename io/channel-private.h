/*
 * What the channel classes share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_IO_CHANNEL_PRIVATE_H
#define FERRY_IO_CHANNEL_PRIVATE_H

#include "io/channel.h"

/* Set up the common part: one reference, no descriptors, with the two quit eventfds. */
void io_channel_init(IOChannel *ioc, const IOChannelClass *klass, const char *name);
/* Was the direction shut down?  Then errp is set. */
bool io_channel_check_shut(IOChannel *ioc, IOShutdown how, Error **errp);
/*
 * Wait until fd can be read (how IO_SHUTDOWN_READ) or written, or until the direction is
 * shut down: then false with errp set.
 */
bool io_channel_wait_fd(IOChannel *ioc, int fd, IOShutdown how, Error **errp);
/* readv()/writev() on fd_in/fd_out that wait on non-blocking descriptors. */
ssize_t io_channel_fd_readv(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp);
ssize_t io_channel_fd_writev(IOChannel *ioc, const struct iovec *iov, size_t n, Error **errp);
/* IOChannelClass.free of classes that own only fd_in and fd_out. */
void io_channel_fd_free(IOChannel *ioc);
bool io_channel_fd_close(IOChannel *ioc, Error **errp);

#endif
