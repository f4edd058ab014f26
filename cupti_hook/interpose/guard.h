// Tells the outermost hooked call of a thread from those that it makes itself (a library calling itself, our
// reruns).
#ifndef FUMI_CUPTI_HOOK_INTERPOSE_GUARD_H
#define FUMI_CUPTI_HOOK_INTERPOSE_GUARD_H

namespace fumi::interpose {

namespace detail {
// The default TLS model on purpose: initial-exec would take from the static TLS surplus (512 bytes for all
// libraries loaded late), and where others have used it up the loader refuses to load us at all. Costs one
// __tls_get_addr, about 2 ns.
inline constinit thread_local int guard_depth = 0;
}  // namespace detail

// Guard guard; if (!guard) return original(...);
class Guard {
  public:
    Guard() noexcept : outermost_(detail::guard_depth++ == 0) {}
    ~Guard() { --detail::guard_depth; }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

    // True in the outermost hooked call of this thread.
    explicit operator bool() const noexcept { return outermost_; }

  private:
    bool outermost_;
};

// True inside any Guard of this thread.
inline bool guarded() noexcept {
    return detail::guard_depth != 0;
}

}  // namespace fumi::interpose
#endif
