#include "cupti_hook/libraries/cudnn_engine.h"

#include <algorithm>

#include "cupti_hook/libraries/cudnn_api.h"

namespace fumi::libraries {

namespace {

// A descriptor for cuDNN to fill in. The library is called directly: the guard of the wrapper that is on the
// stack keeps FuMi from noting its own descriptors.
class Answer {
  public:
    explicit Answer(cudnnBackendDescriptorType_t type) noexcept {
        if (cudnn_api()->cudnnBackendCreateDescriptor(type, &descriptor_) != CUDNN_STATUS_SUCCESS)
            descriptor_ = nullptr;
    }
    ~Answer() {
        if (descriptor_ != nullptr) cudnn_api()->cudnnBackendDestroyDescriptor(descriptor_);
    }
    Answer(const Answer&) = delete;
    Answer& operator=(const Answer&) = delete;

    bool fill(cudnnBackendDescriptor_t of, cudnnBackendAttributeName_t name) noexcept {
        std::int64_t count = 0;
        return descriptor_ != nullptr &&
               cudnn_api()->cudnnBackendGetAttribute(of, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                                     &descriptor_) == CUDNN_STATUS_SUCCESS &&
               count >= 1;
    }
    cudnnBackendDescriptor_t get() const noexcept { return descriptor_; }

  private:
    cudnnBackendDescriptor_t descriptor_ = nullptr;
};

template <class T>
std::int64_t get(cudnnBackendDescriptor_t of, cudnnBackendAttributeName_t name,
                 cudnnBackendAttributeType_t type, T* into, std::int64_t room) noexcept {
    std::int64_t count = 0;
    if (cudnn_api()->cudnnBackendGetAttribute(of, name, type, room, &count, into) != CUDNN_STATUS_SUCCESS)
        return -1;
    return std::min(count, room);
}

void read_notes(cudnnBackendDescriptor_t engine, DnnEngine& facts) noexcept {
    cudnnBackendNumericalNote_t numerical[CUDNN_NUMERICAL_NOTE_TYPE_COUNT] = {};
    std::int64_t count = get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, numerical,
                             CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
    facts.notes_known = count >= 0;
    for (std::int64_t i = 0; i < count; ++i) facts.numerical_notes |= 1U << numerical[i];
    cudnnBackendBehaviorNote_t behaviour[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT] = {};
    count = get(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, behaviour,
                CUDNN_BEHAVIOR_NOTE_TYPE_COUNT);
    for (std::int64_t i = 0; i < count; ++i) facts.behaviour_notes |= 1U << behaviour[i];
}

void read_knobs(cudnnBackendDescriptor_t configuration, DnnEngine& facts) noexcept {
    // Knobs come in descriptors of their own, which the caller makes beforehand.
    cudnnBackendDescriptor_t choices[most_knobs] = {};
    int made = 0;
    while (made < most_knobs &&
           cudnn_api()->cudnnBackendCreateDescriptor(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &choices[made]) ==
               CUDNN_STATUS_SUCCESS)
        ++made;
    const std::int64_t count =
        get(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, choices, made);
    for (std::int64_t i = 0; i < count; ++i) {
        cudnnBackendKnobType_t type{};
        std::int64_t value = 0;
        if (get(choices[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, &type, 1) == 1 &&
            get(choices[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, &value, 1) == 1)
            facts.knobs[facts.knob_count++] = {static_cast<std::int32_t>(type),
                                               static_cast<std::int32_t>(value)};
    }
    for (int i = 0; i < made; ++i) cudnn_api()->cudnnBackendDestroyDescriptor(choices[i]);
}

}  // namespace

DnnEngine read_engine(cudnnBackendDescriptor_t plan) noexcept {
    DnnEngine facts;
    if (cudnn_api() == nullptr) return facts;
    Answer configuration(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR), engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    if (!configuration.fill(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)) return facts;
    read_knobs(configuration.get(), facts);
    if (!engine.fill(configuration.get(), CUDNN_ATTR_ENGINECFG_ENGINE)) return facts;
    std::int64_t index = -1;
    if (get(engine.get(), CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, &index, 1) == 1)
        facts.index = static_cast<std::int32_t>(index);
    read_notes(engine.get(), facts);
    return facts;
}

}  // namespace fumi::libraries
