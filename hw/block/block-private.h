/*
 * Block backends: what the files of hw/block share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FERRY_HW_BLOCK_PRIVATE_H
#define FERRY_HW_BLOCK_PRIVATE_H

#include "hw/block/block.h"

/* block-backend.c: filename NULL makes a node without a file of its own. */
BlockBackend *block_backend_new(const char *id, const char *driver, const char *filename,
                                bool readonly, Error **errp);
void block_backend_free(BlockBackend *b);

/* image-lock.c: for a machine that reads, and perhaps writes, what fd is open on. */
bool image_lock(int fd, const char *filename, bool write, bool share_writers, Error **errp);
void image_unlock(int fd);

#endif
