/*
 * process.c - a process that does not outlive its parent.
 *
 * The host sends PDEATHSIG when the thread that forked ends, not when its process does.  So it
 * suits a parent with one thread only, as the helper is.  The parent may have ended before
 * this call: the caller checks its parent afterwards.
 */
#include <signal.h>
#include <sys/prctl.h>

#include "hardware.h"

int kemu_die_with_parent(void)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) ? KEMU_OSERROR : KEMU_OK;
}
