#include "tools/softcuda/core/cupti.h"

#include <cupti.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "tools/softcuda/core/driver.h"

namespace {

struct Subscriber {
    CUpti_CallbackFunc callback = nullptr;
    void* data = nullptr;
    Subscriber* kept_before = nullptr;
    std::atomic<bool> launch_kernel{false}, launch_kernel_ex{false}, graph_launch{false};
};

std::atomic<Subscriber*> subscriber{nullptr};

// Subscribers are never freed, a callback may be under way on another thread; the list keeps them reachable.
void keep(Subscriber* who) {
    static std::atomic<Subscriber*> all{nullptr};
    who->kept_before = all.exchange(who);
}
std::atomic<std::uint32_t> correlations{0};

const char* taken_by() {
    static const char* const name =
        std::getenv("SOFTCUDA_CUPTI_TAKEN");  // NOLINT(concurrency-mt-unsafe): once
    return name;
}

std::atomic<bool>* switch_of(Subscriber& who, CUpti_CallbackId id) {
    switch (id) {
        case CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel:
            return &who.launch_kernel;
        case CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx:
            return &who.launch_kernel_ex;
        case CUPTI_DRIVER_TRACE_CBID_cuGraphLaunch:
            return &who.graph_launch;
        default:
            return nullptr;
    }
}

struct Described {
    CUpti_CallbackId id;
    const char* name;
};

Described describe(softcuda::ApiCall call) {
    switch (call) {
        case softcuda::ApiCall::launch_kernel:
            return {CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel, "cuLaunchKernel"};
        case softcuda::ApiCall::launch_kernel_ex:
            return {CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx, "cuLaunchKernelEx"};
        case softcuda::ApiCall::graph_launch:
            break;
    }
    return {CUPTI_DRIVER_TRACE_CBID_cuGraphLaunch, "cuGraphLaunch"};
}

}  // namespace

namespace softcuda {

Announcement::Announcement(ApiCall call, const char* symbol, cudaStream_t stream, const void* object) noexcept
    : call_(call), symbol_(symbol), stream_(stream), object_(object) {
    Subscriber* who = subscriber.load(std::memory_order_acquire);
    if (who == nullptr) return;
    told_ = switch_of(*who, describe(call).id)->load();
    if (!told_) return;
    correlation_ = ++correlations;
    tell(CUPTI_API_ENTER);
}

Announcement::~Announcement() {
    if (told_) tell(CUPTI_API_EXIT);
}

void Announcement::tell(int site) noexcept {
    Subscriber* who = subscriber.load(std::memory_order_acquire);
    if (who == nullptr) return;
    const Described described = describe(call_);
    auto function = static_cast<CUfunction>(const_cast<void*>(object_));
    cuLaunchKernel_params launch{};
    CUlaunchConfig config{};
    cuLaunchKernelEx_params launch_ex{};
    cuGraphLaunch_params graph{};
    launch.f = function;
    launch.hStream = stream_;
    config.hStream = stream_;
    launch_ex.config = &config;
    launch_ex.f = function;
    graph.hGraph = static_cast<CUgraphExec>(const_cast<void*>(object_));
    graph.hStream = stream_;
    auto result = static_cast<CUresult>(status_);
    CUpti_CallbackData data{};
    data.callbackSite = static_cast<CUpti_ApiCallbackSite>(site);
    data.functionName = described.name;
    data.functionParams = call_ == ApiCall::launch_kernel      ? static_cast<const void*>(&launch)
                          : call_ == ApiCall::launch_kernel_ex ? static_cast<const void*>(&launch_ex)
                                                               : static_cast<const void*>(&graph);
    data.functionReturnValue = site == CUPTI_API_EXIT ? &result : nullptr;
    data.symbolName = symbol_;
    data.context = primary_context();
    data.contextUid = 1;
    data.correlationData = &data_;
    data.correlationId = correlation_;
    who->callback(who->data, CUPTI_CB_DOMAIN_DRIVER_API, described.id, &data);
}

}  // namespace softcuda

extern "C" {

CUptiResult cuptiGetVersion(uint32_t* version) {
    if (version == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
    *version = CUPTI_API_VERSION;
    return CUPTI_SUCCESS;
}

CUptiResult cuptiSubscribe_v2(CUpti_SubscriberHandle* handle, CUpti_CallbackFunc callback, void* data,
                              CUpti_SubscriberParams* params) {
    if (handle == nullptr || callback == nullptr) return CUPTI_ERROR_INVALID_PARAMETER;
    if (params != nullptr && params->structSize == 0) return CUPTI_ERROR_INVALID_PARAMETER;
    const char* other = taken_by();
    auto* who = new Subscriber;
    who->callback = callback;
    who->data = data;
    Subscriber* nobody = nullptr;
    if (other == nullptr && subscriber.compare_exchange_strong(nobody, who)) {
        keep(who);
        *handle = reinterpret_cast<CUpti_SubscriberHandle>(who);
        return CUPTI_SUCCESS;
    }
    delete who;
    if (params != nullptr && params->oldSubscriberName != nullptr && params->oldSubscriberSize > 0) {
        (void)std::snprintf(params->oldSubscriberName, params->oldSubscriberSize, "CUPTI for %s",
                            other != nullptr ? other : "another subscriber");
    }
    return CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
}

CUptiResult cuptiSubscribe(CUpti_SubscriberHandle* handle, CUpti_CallbackFunc callback, void* data) {
    return cuptiSubscribe_v2(handle, callback, data, nullptr);
}

CUptiResult cuptiUnsubscribe(CUpti_SubscriberHandle handle) {
    auto* who = reinterpret_cast<Subscriber*>(handle);
    return who != nullptr && subscriber.compare_exchange_strong(who, nullptr) ? CUPTI_SUCCESS
                                                                              : CUPTI_ERROR_INVALID_PARAMETER;
}

CUptiResult cuptiFinalize() {
    subscriber.store(nullptr);
    return CUPTI_SUCCESS;
}

CUptiResult cuptiEnableCallback(uint32_t enable, CUpti_SubscriberHandle handle, CUpti_CallbackDomain domain,
                                CUpti_CallbackId id) {
    auto* who = reinterpret_cast<Subscriber*>(handle);
    if (who == nullptr || who != subscriber.load()) return CUPTI_ERROR_INVALID_PARAMETER;
    if (domain <= CUPTI_CB_DOMAIN_INVALID || domain >= CUPTI_CB_DOMAIN_SIZE)
        return CUPTI_ERROR_INVALID_PARAMETER;
    // Callbacks that this device never makes can be asked for: they do not come.
    if (domain == CUPTI_CB_DOMAIN_DRIVER_API) {
        if (std::atomic<bool>* chosen = switch_of(*who, id)) chosen->store(enable != 0);
    }
    return CUPTI_SUCCESS;
}

CUptiResult cuptiEnableDomain(uint32_t enable, CUpti_SubscriberHandle handle, CUpti_CallbackDomain domain) {
    for (const auto id : {CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel, CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx,
                          CUPTI_DRIVER_TRACE_CBID_cuGraphLaunch}) {
        const CUptiResult result = cuptiEnableCallback(enable, handle, domain, id);
        if (result != CUPTI_SUCCESS) return result;
    }
    return CUPTI_SUCCESS;
}

CUptiResult cuptiEnableAllDomains(uint32_t enable, CUpti_SubscriberHandle handle) {
    return cuptiEnableDomain(enable, handle, CUPTI_CB_DOMAIN_DRIVER_API);
}

}  // extern "C"
