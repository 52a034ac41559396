/* What holds a pod's namespaces: waits, reaps orphans, ends on SIGTERM or SIGINT. No libc.
 *
 * All signals are blocked and taken with rt_sigtimedwait, so there is no handler and nothing to return from; the kernel
 * queues blocked signals for PID 1 too. Built by the script beside it.
 */
#if defined(__x86_64__)
enum { WAIT4 = 61, EXIT_GROUP = 231, SIGPROCMASK = 14, SIGTIMEDWAIT = 128 };
static long call(long number, long a, long b, long c, long d) {
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
enum { WAIT4 = 260, EXIT_GROUP = 94, SIGPROCMASK = 135, SIGTIMEDWAIT = 137 };
static long call(long number, long a, long b, long c, long d) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "the system calls of this architecture are not written down here"
#endif

enum { INT = 2, TERM = 15, CHLD = 17, SIG_BLOCK = 0, WNOHANG = 1 };

void _start(void) {
    unsigned long all = ~0UL;
    call(SIGPROCMASK, SIG_BLOCK, (long)&all, 0, sizeof all);
    for (;;) {
        long signal = call(SIGTIMEDWAIT, (long)&all, 0, 0, sizeof all);
        if (signal == CHLD)
            while (call(WAIT4, -1, 0, WNOHANG, 0) > 0) {}
        else if (signal == INT || signal == TERM)
            call(EXIT_GROUP, 0, 0, 0, 0);
    }
}
