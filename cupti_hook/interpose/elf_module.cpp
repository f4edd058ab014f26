#include "cupti_hook/interpose/elf_module.h"

#include <cstring>

#if !defined(__x86_64__) || !defined(__linux__)
#error "cupti_hook/interpose reads x86-64 relocations and relies on glibc"
#endif

namespace fumi::interpose {

namespace {
constexpr Elf64_Half kVersionMask =
    0x7fff;  // the top bit of a DT_VERSYM entry marks a hidden (non-default) version
}

// glibc relocates the addresses in the dynamic section, but not where that section is read-only (the vDSO).
template <typename T>
const T* ElfModule::pointer(Elf64_Addr value) const noexcept {
    return reinterpret_cast<const T*>(value < base_ ? base_ + value : value);
}

ElfModule::ElfModule(const dl_phdr_info& info)
    : path_(info.dlpi_name != nullptr ? info.dlpi_name : ""),
      base_(info.dlpi_addr),
      headers_(info.dlpi_phdr, info.dlpi_phnum) {
    for (const Elf64_Phdr& header : headers_)
        if (header.p_type == PT_DYNAMIC)
            dynamic_ = reinterpret_cast<const Elf64_Dyn*>(base_ + header.p_vaddr);
    const std::size_t slash = path_.rfind('/');
    soname_ = slash == std::string::npos ? path_ : path_.substr(slash + 1);
    if (dynamic_ != nullptr) read_dynamic();
    if (symbols_ == nullptr || strings_ == nullptr) {
        rela_ = {};
        jmprel_ = {};
    }
}

void ElfModule::read_dynamic() noexcept {
    const Elf64_Rela* rela = nullptr;
    const Elf64_Rela* jmprel = nullptr;
    std::size_t rela_bytes = 0;
    std::size_t jmprel_bytes = 0;
    Elf64_Xword soname = 0;
    Elf64_Xword plt_format = DT_RELA;
    for (const Elf64_Dyn* entry = dynamic_; entry->d_tag != DT_NULL; ++entry) {
        switch (entry->d_tag) {
            case DT_SYMTAB:
                symbols_ = pointer<Elf64_Sym>(entry->d_un.d_ptr);
                break;
            case DT_STRTAB:
                strings_ = pointer<char>(entry->d_un.d_ptr);
                break;
            case DT_SONAME:
                soname = entry->d_un.d_val;
                break;
            case DT_GNU_HASH:
                gnu_hash_ = pointer<std::uint32_t>(entry->d_un.d_ptr);
                break;
            case DT_VERSYM:
                versions_ = pointer<Elf64_Half>(entry->d_un.d_ptr);
                break;
            case DT_VERNEED:
                needed_ = pointer<Elf64_Verneed>(entry->d_un.d_ptr);
                break;
            case DT_VERNEEDNUM:
                needed_count_ = entry->d_un.d_val;
                break;
            case DT_RELA:
                rela = pointer<Elf64_Rela>(entry->d_un.d_ptr);
                break;
            case DT_RELASZ:
                rela_bytes = entry->d_un.d_val;
                break;
            case DT_RELACOUNT:
                rela_relative_ = entry->d_un.d_val;
                break;
            case DT_JMPREL:
                jmprel = pointer<Elf64_Rela>(entry->d_un.d_ptr);
                break;
            case DT_PLTRELSZ:
                jmprel_bytes = entry->d_un.d_val;
                break;
            case DT_PLTREL:
                plt_format = entry->d_un.d_val;
                break;
            default:
                break;
        }
    }
    if (rela != nullptr) rela_ = {rela, rela_bytes / sizeof(Elf64_Rela)};
    if (jmprel != nullptr && plt_format == DT_RELA) jmprel_ = {jmprel, jmprel_bytes / sizeof(Elf64_Rela)};
    // Some linkers count the PLT's relocations in DT_RELASZ as well: then they are read twice, which does no
    // harm.
    if (soname != 0 && strings_ != nullptr) soname_ = strings_ + soname;
}

bool ElfModule::contains(const void* address) const noexcept {
    const std::uintptr_t value = reinterpret_cast<std::uintptr_t>(address);
    for (const Elf64_Phdr& header : headers_) {
        const std::uintptr_t begin = base_ + header.p_vaddr;
        if (header.p_type == PT_LOAD && value >= begin && value - begin < header.p_memsz) return true;
    }
    return false;
}

bool ElfModule::slot_kind(const Elf64_Rela& entry, SlotKind& kind) noexcept {
    switch (ELF64_R_TYPE(entry.r_info)) {
        case R_X86_64_JUMP_SLOT:
            kind = SlotKind::kJumpSlot;
            return true;
        case R_X86_64_GLOB_DAT:
            kind = SlotKind::kGlobDat;
            return true;
        case R_X86_64_64:
            kind = SlotKind::kPointer;
            return entry.r_addend == 0;
        default:
            return false;
    }
}

const char* ElfModule::version_needed(std::uint32_t symbol_index) const noexcept {
    if (versions_ == nullptr || needed_ == nullptr) return nullptr;
    const Elf64_Half wanted = versions_[symbol_index] & kVersionMask;
    if (wanted <= VER_NDX_GLOBAL) return nullptr;
    const Elf64_Verneed* file = needed_;
    for (std::size_t i = 0; i < needed_count_; ++i) {
        const auto* version =
            reinterpret_cast<const Elf64_Vernaux*>(reinterpret_cast<const char*>(file) + file->vn_aux);
        for (Elf64_Half j = 0; j < file->vn_cnt; ++j) {
            if ((version->vna_other & kVersionMask) == wanted) return strings_ + version->vna_name;
            version = reinterpret_cast<const Elf64_Vernaux*>(reinterpret_cast<const char*>(version) +
                                                             version->vna_next);
        }
        file = reinterpret_cast<const Elf64_Verneed*>(reinterpret_cast<const char*>(file) + file->vn_next);
    }
    return nullptr;
}

void* ElfModule::oldest_definition(const char* symbol) const noexcept {
    constexpr Elf64_Half kFirstVersion =
        2;  // 0 local, 1 no version, 2 the first of DT_VERDEF after the file's own
    if (gnu_hash_ == nullptr || versions_ == nullptr) return nullptr;
    std::uint32_t hash = 5381;
    for (const char* letter = symbol; *letter != 0; ++letter)
        hash = hash * 33 + static_cast<unsigned char>(*letter);
    // DT_GNU_HASH: bucket count, index of the first hashed symbol, Bloom filter words (64 bits each), shift;
    // filter; buckets; one hash per symbol, whose lowest bit ends a chain.
    const std::uint32_t bucket_count = gnu_hash_[0];
    const std::uint32_t first = gnu_hash_[1];
    const std::uint32_t* buckets = gnu_hash_ + 4 + 2 * std::size_t{gnu_hash_[2]};
    const std::uint32_t* hashes = buckets + bucket_count;
    std::uint32_t index = bucket_count != 0 ? buckets[hash % bucket_count] : 0;
    if (index < first) return nullptr;
    for (;; ++index) {
        const Elf64_Sym& entry = symbols_[index];
        const bool same =
            (hashes[index - first] | 1U) == (hash | 1U) && std::strcmp(strings_ + entry.st_name, symbol) == 0;
        if (same && entry.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(entry.st_info) != STT_GNU_IFUNC &&
            (versions_[index] & kVersionMask) <= kFirstVersion)
            return reinterpret_cast<void*>(base_ + entry.st_value);
        if ((hashes[index - first] & 1U) != 0) return nullptr;
    }
}

}  // namespace fumi::interpose
