#include "mapping/module_names.h"

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mapping/intern.h"

namespace fumi::mapping {
namespace {

// A weak reference with the object it should lead to: an address alone may be a later module's.
struct Weak {
    PyHandle* reference = nullptr;
    bool leads_to(const PythonApi& api, PyHandle* object) const noexcept {
        return reference != nullptr && api.weakref_get(reference) == object;
    }
};

struct Named {
    Weak weak;
    std::string path;       // blocks.0.mlp
    const char* text = "";  // blocks.0.mlp (MLP)
};

struct Root {
    Weak weak;
    std::unordered_map<PyHandle*, Named> modules;
};

// Guarded by the GIL. Models come and go, so dead ones are dropped, and all of them beyond a number no
// program has.
using Roots = std::unordered_map<PyHandle*, std::unique_ptr<Root>>;
constexpr std::size_t root_limit = 256;
constexpr int depth_limit = 200;

Roots& roots() {
    static auto* const instance = new Roots;  // never destroyed: Python may be gone by then
    return *instance;
}

std::string class_name(const PythonApi& api, PyHandle* module) {
    std::string name;
    PyHandle* const type = api.type_of(module);
    PyHandle* const text = api.get_attr(type, "__name__");
    if (text != nullptr) {
        if (const char* utf8 = api.utf8(text); utf8 != nullptr) {
            name = utf8;
        }
        api.decref(text);
    }
    api.decref(type);
    api.error_clear();
    return name;
}

const char* label(const std::string& path, const std::string& type) {
    return intern(path.empty() ? "(" + type + ")" : path + " (" + type + ")");
}

Weak weak_reference(const PythonApi& api, PyHandle* object) noexcept {
    Weak weak{api.new_weakref(object, nullptr)};
    if (weak.reference == nullptr) {
        api.error_clear();
    }
    return weak;
}

void name_children(const PythonApi& api, PyHandle* module, const std::string& path, int depth, Root& root);

void name_tree(const PythonApi& api, PyHandle* module, const std::string& path, int depth, Root& root) {
    const auto [place, fresh] = root.modules.emplace(module, Named{});
    if (!fresh || depth > depth_limit) {
        return;  // shared modules keep the first of their names, as in named_modules
    }
    place->second = Named{weak_reference(api, module), path, label(path, class_name(api, module))};
    name_children(api, module, path, depth, root);
}

void name_children(const PythonApi& api, PyHandle* module, const std::string& path, int depth, Root& root) {
    PyHandle* const attributes = api.get_attr(module, "__dict__");
    if (attributes == nullptr) {
        api.error_clear();
        return;
    }
    PyHandle* const children = api.dict_get(attributes, "_modules");
    long position = 0;
    PyHandle* key = nullptr;
    PyHandle* child = nullptr;
    while (children != nullptr && api.dict_next(children, &position, &key, &child) != 0) {
        const char* const name = api.utf8(key);
        // An entry may be None: it has no _modules, and is left out by its missing weak reference.
        if (name != nullptr) {
            name_tree(api, child, path.empty() ? name : path + "." + name, depth + 1, root);
        }
    }
    api.decref(attributes);
    api.error_clear();
}

void drop(const PythonApi& api, Root& root) noexcept {
    for (auto& [module, named] : root.modules) {
        if (named.weak.reference != nullptr) {
            api.decref(named.weak.reference);
        }
    }
    if (root.weak.reference != nullptr) {
        api.decref(root.weak.reference);
    }
    root = Root{};
}

void drop_dead(const PythonApi& api) noexcept {
    const bool all = roots().size() >= root_limit;
    for (auto it = roots().begin(); it != roots().end();) {
        if (all || !it->second->weak.leads_to(api, it->first)) {
            drop(api, *it->second);
            it = roots().erase(it);
        } else {
            ++it;
        }
    }
}

const Named* find_in(const PythonApi& api, const Root& root, PyHandle* module) noexcept {
    const auto found = root.modules.find(module);
    return found != root.modules.end() && found->second.weak.leads_to(api, module) ? &found->second : nullptr;
}

Root& name_root(const PythonApi& api, PyHandle* module) {
    drop_dead(api);
    auto& root = roots()[module];
    root = std::make_unique<Root>();
    root->weak = weak_reference(api, module);
    name_tree(api, module, "", 0, *root);
    return *root;
}

// The largest known model that holds `module` and is not `module` itself.
const Root* model_of(const PythonApi& api, PyHandle* module) noexcept {
    const Root* best = nullptr;
    for (const auto& [top, root] : roots()) {
        if (root->weak.leads_to(api, top) && find_in(api, *root, module) != nullptr &&
            (best == nullptr || root->modules.size() > best->modules.size())) {
            best = root.get();
        }
    }
    return best;
}

const char* name_in(const PythonApi& api, const Root& root, PyHandle* const* modules, std::size_t count) {
    std::string strangers;  // classes of unregistered modules between the innermost one and a registered one
    for (std::size_t i = 0; i < count; ++i) {
        if (const Named* named = find_in(api, root, modules[i]); named != nullptr) {
            return strangers.empty() ? named->text
                                     : intern(named->path + (named->path.empty() ? "" : ".") + strangers);
        }
        const std::string type = class_name(api, modules[i]);
        // torch.compile and torch.fx run what they have made of a module as a GraphModule of their own.
        if (strangers.empty() && type.compare(0, 11, "GraphModule") != 0) {
            strangers = "(" + type + ")";
        }
    }
    return intern(strangers);
}

const char* name_of(const PythonApi& api, PyHandle* const* modules, std::size_t count, bool recomputed) {
    PyHandle* const outermost = modules[count - 1];
    if (recomputed) {
        if (const Root* model = model_of(api, outermost); model != nullptr) {
            return name_in(api, *model, modules, count);
        }
    }
    const auto known = roots().find(outermost);
    if (known != roots().end() && known->second->weak.leads_to(api, outermost)) {
        if (const Named* named = find_in(api, *known->second, modules[0]); named != nullptr) {
            return named->text;
        }
    }
    // A new model, or one that has changed since it was named.
    return name_in(api, name_root(api, outermost), modules, count);
}

}  // namespace

const char* module_name(const PythonApi& api, PyHandle* const* modules, std::size_t count,
                        bool recomputed) noexcept {
    try {
        return count == 0 ? "" : name_of(api, modules, count, recomputed);
    } catch (const std::exception&) {
        return "";
    }
}

}  // namespace fumi::mapping
