// One loaded ELF module as the dynamic linker sees it: names, relocations, symbol versions.
#ifndef FUMI_CUPTI_HOOK_INTERPOSE_ELF_MODULE_H
#define FUMI_CUPTI_HOOK_INTERPOSE_ELF_MODULE_H

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "cupti_hook/interpose/interpose.h"

namespace fumi::interpose {

// A place in a module's memory that the loader fills with the address of a named function.
struct Slot {
    SlotKind kind;
    void** address;
    const char* symbol;
    const char* version;  // the version that the module asks for, nullptr: none
};

// Valid while the module stays loaded: it points into the module's memory.
class ElfModule {
  public:
    explicit ElfModule(const dl_phdr_info& info);

    const std::string& path() const noexcept { return path_; }
    const std::string& soname() const noexcept { return soname_; }
    std::uintptr_t base() const noexcept { return base_; }
    // Address of the dynamic section; nullptr: not dynamically linked, nothing to patch.
    const void* dynamic() const noexcept { return dynamic_; }
    bool contains(const void* address) const noexcept;

    // Calls visit(Slot) for every function slot of DT_RELA and DT_JMPREL with a symbol that wanted(name)
    // accepts.
    template <typename Wanted, typename Visit>
    void for_each_slot(const Wanted& wanted, const Visit& visit) const {
        // DT_RELR holds relative relocations only, DT_REL is never used on x86-64, and the first DT_RELACOUNT
        // entries of DT_RELA are relative too.
        for (const std::span<const Elf64_Rela> table :
             {rela_.subspan(std::min(rela_relative_, rela_.size())), jmprel_}) {
            for (const Elf64_Rela& entry : table) {
                SlotKind kind{};
                if (!slot_kind(entry, kind)) continue;
                const auto index = static_cast<std::uint32_t>(ELF64_R_SYM(entry.r_info));
                const char* name = strings_ + symbols_[index].st_name;
                if (!wanted(name)) continue;
                visit(Slot{kind, reinterpret_cast<void**>(base_ + entry.r_offset), name,
                           version_needed(index)});
            }
        }
    }

    // The definition that a reference without a version is bound to when the module is loaded with versions:
    // the first one that the library ever had, hidden or not, while dlsym gives the newest. nullptr: no
    // versions, or no such definition.
    void* oldest_definition(const char* symbol) const noexcept;

  private:
    static bool slot_kind(const Elf64_Rela& entry, SlotKind& kind) noexcept;
    const char* version_needed(std::uint32_t symbol_index) const noexcept;
    void read_dynamic() noexcept;
    template <typename T>
    const T* pointer(Elf64_Addr value) const noexcept;

    std::string path_;
    std::string soname_;
    std::uintptr_t base_ = 0;
    std::span<const Elf64_Phdr> headers_;
    const Elf64_Dyn* dynamic_ = nullptr;
    const Elf64_Sym* symbols_ = nullptr;
    const char* strings_ = nullptr;
    const std::uint32_t* gnu_hash_ = nullptr;
    const Elf64_Half* versions_ = nullptr;
    const Elf64_Verneed* needed_ = nullptr;
    std::size_t needed_count_ = 0;
    std::span<const Elf64_Rela> rela_;
    std::span<const Elf64_Rela> jmprel_;
    std::size_t rela_relative_ = 0;
};

}  // namespace fumi::interpose
#endif
