/*
 * process.c - a process that does not outlive its parent.
 *
 * PDEATHSIG follows the parent's thread that forked: right only for a parent
 * with one thread, which the helper is.  The caller must check afterwards that
 * the parent was still there when it was set.
 */
#include <signal.h>
#include <sys/prctl.h>

#include "hardware.h"

int kemu_die_with_parent(void)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) ? KEMU_OSERROR : KEMU_OK;
}
