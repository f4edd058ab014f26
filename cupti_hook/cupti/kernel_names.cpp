#include "cupti_hook/cupti/kernel_names.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string_view>
#include <unordered_set>

#include "cupti_hook/cupti/cupti_api.h"
#include "cupti_hook/message.h"

namespace fumi::cupti {

namespace {

constexpr int most_names = 8;

// Names of this thread's current call; count is negative while nothing is gathered.
struct Gathered {
    int count = -1;
    const char* names[most_names] = {};
};
constinit thread_local Gathered gathered;

struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>()(text);
    }
};

// CUPTI's string belongs to the module of the kernel, which may be unloaded before the drainer reads it.
const char* intern(const char* name) noexcept try {
    static auto& lock = *new std::mutex;
    static auto& known = *new std::unordered_set<std::string, TextHash, std::equal_to<>>;
    const std::string_view text(name);
    const std::lock_guard guard(lock);
    if (const auto found = known.find(text); found != known.end()) return found->c_str();
    return known.emplace(text).first->c_str();
} catch (...) {
    return nullptr;
}

void CUPTIAPI on_call(void*, CUpti_CallbackDomain domain, CUpti_CallbackId, const void* data) noexcept {
    if (domain != CUPTI_CB_DOMAIN_DRIVER_API || gathered.count < 0 || gathered.count == most_names) return;
    const auto* info = static_cast<const CUpti_CallbackData*>(data);
    if (info->callbackSite != CUPTI_API_ENTER || info->symbolName == nullptr) return;
    const char* name = intern(info->symbolName);
    if (name == nullptr) return;
    for (int i = 0; i < gathered.count; ++i)
        if (gathered.names[i] == name) return;
    gathered.names[gathered.count++] = name;
}

std::mutex state_lock;
std::string* state_text = nullptr;  // never freed: read at exit

bool ended(std::string text) {
    const bool success = text == "subscribed";
    const std::lock_guard guard(state_lock);
    delete state_text;
    state_text = new std::string(std::move(text));
    return success;
}

bool refused(const CuptiApi& api, CUptiResult result, const char* by) {
    if (result == CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED) {
        constexpr std::string_view added = "CUPTI for ";  // by cuptiSubscribe_v2, before the name
        std::string who = *by != '\0' ? by : "another tool (nsys, ncu, a debugger or torch.profiler)";
        if (who.starts_with(added)) who.erase(0, added.size());
        say("CUPTI is in use by %s: calls are recorded without kernel names", who.c_str());
        return ended("CUPTI is in use by " + who);
    }
    const char* text = nullptr;
    if (api.get_result_string != nullptr) api.get_result_string(result, &text);
    return ended(std::string("CUPTI cannot be subscribed to: ") +
                 (text != nullptr ? text : std::to_string(result)));
}

}  // namespace

bool subscribe() noexcept try {
    const CuptiApi* api = cupti_api();
    if (api == nullptr) return ended("libcupti.so was not found");
    static CUpti_SubscriberHandle subscriber;
    char other[CUPTI_OLD_SUBSCRIBER_NAME_MIN_LEN] = "";
    CUptiResult result;
    if (api->subscribe_v2 != nullptr) {
        CUpti_SubscriberParams params{};
        params.structSize = CUpti_SubscriberParams_STRUCT_SIZE;
        params.subscriberName = "FuMi";
        params.oldSubscriberName = other;
        params.oldSubscriberSize = sizeof other;
        result = api->subscribe_v2(&subscriber, on_call, nullptr, &params);
    } else {
        result = api->subscribe(&subscriber, on_call, nullptr);
    }
    other[sizeof other - 1] = '\0';
    if (result != CUPTI_SUCCESS) return refused(*api, result, other);
    for (const CUpti_CallbackId launch :
         {CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel, CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel_ptsz,
          CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx, CUPTI_DRIVER_TRACE_CBID_cuLaunchKernelEx_ptsz,
          CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel,
          CUPTI_DRIVER_TRACE_CBID_cuLaunchCooperativeKernel_ptsz}) {
        result = api->enable_callback(1, subscriber, CUPTI_CB_DOMAIN_DRIVER_API, launch);
        if (result != CUPTI_SUCCESS) return refused(*api, result, "");
    }
    return ended("subscribed");
} catch (...) {
    return false;
}

std::string state() {
    const std::lock_guard guard(state_lock);
    return state_text == nullptr ? "off" : *state_text;
}

void begin_gathering() noexcept {
    gathered.count = 0;
}

int end_gathering(const char** names, int most) noexcept {
    const int count = std::clamp(gathered.count, 0, most);
    std::copy_n(gathered.names, count, names);
    gathered.count = -1;
    return count;
}

}  // namespace fumi::cupti
