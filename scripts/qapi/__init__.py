# SPDX-License-Identifier: GPL-2.0-or-later
# The QAPI generator: schema.py reads, types.py, commands.py, introspect.py and docs.py write.
