// Which slots are patched, and which are left alone.
#include <fstream>
#include <sstream>

#include "cupti_hook/interpose/elf_module.h"
#include "tests/interpose/support.h"

namespace fumi::interpose {
namespace {

class Slots : public Interpose {};

// The permissions of the page that holds an address, as "rw-p".
std::string permissions(const void* address) {
    std::ifstream maps("/proc/self/maps");
    std::string line;
    while (std::getline(maps, line)) {
        std::istringstream fields(line);
        std::uintptr_t begin = 0;
        std::uintptr_t end = 0;
        char dash = 0;
        std::string flags;
        fields >> std::hex >> begin >> dash >> end >> flags;
        const auto value = reinterpret_cast<std::uintptr_t>(address);
        if (value >= begin && value < end) return flags;
    }
    return "";
}

void** slot_of(const std::string& soname, const std::string& symbol, SlotKind kind) {
    struct Search {
        const std::string &soname, &symbol;
        SlotKind kind;
        void** found;
    } search{soname, symbol, kind, nullptr};
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
            auto& wanted = *static_cast<Search*>(data);
            const ElfModule module(*info);
            if (module.soname() == wanted.soname)
                module.for_each_slot([&](const char* name) { return wanted.symbol == name; },
                                     [&](const Slot& slot) {
                                         if (slot.kind == wanted.kind) wanted.found = slot.address;
                                     });
            return 0;
        },
        &search);
    return search.found;
}

TEST_F(Slots, LazilyBoundCallsArePatchedBeforeAndAfterTheirFirstCall) {
    const Library client("libclient_lazy.so");
    EXPECT_EQ(client.add(2, 3), 5);  // binds vendor_add; vendor_scale stays unbound
    install_all();
    EXPECT_EQ(client.add(2, 3), 5);
    EXPECT_EQ(client.scale(4), 12);
    EXPECT_EQ(add.calls, 1);
    EXPECT_EQ(scale_2.calls, 1);
    EXPECT_EQ(scale_1.calls, 0);
    EXPECT_EQ(slots_patched(), 2U);
    EXPECT_EQ(patched("libclient_lazy.so", SlotKind::kJumpSlot), 2U);
}

TEST_F(Slots, IbtPltIsRecognisedAsUnbound) {
    const Library client("libclient_ibt.so");
    install_all();
    EXPECT_EQ(client.add(2, 3), 5);
    EXPECT_EQ(add.calls, 1);
}

TEST_F(Slots, ReadOnlyGotIsMadeWritableAndNeverExecutable) {
    const Library client("libclient_now.so");
    void** slot = slot_of("libclient_now.so", "vendor_add", SlotKind::kJumpSlot);
    ASSERT_NE(slot, nullptr);
    ASSERT_EQ(permissions(slot), "r--p");
    install_all();
    EXPECT_EQ(client.add(2, 3), 5);
    EXPECT_EQ(add.calls, 1);
    EXPECT_EQ(permissions(slot), "rw-p");
}

TEST_F(Slots, CallsWithoutPltGoThroughGlobDat) {
    const Library client("libclient_noplt.so");
    install_all();
    EXPECT_EQ(client.add(2, 3), 5);
    EXPECT_EQ(add.calls, 1);
    EXPECT_EQ(client.get<int (*(void))(int, int)>("client_address")(), &wrapped_add);
    EXPECT_EQ(patched("libclient_noplt.so", SlotKind::kGlobDat), 2U);
}

TEST_F(Slots, PointersInInitialisedDataArePatched) {
    const Library client("libclient_table.so");
    install_all();
    EXPECT_EQ(client.get<int(int, int)>("client_add_through_table")(2, 3), 5);
    EXPECT_EQ(add.calls, 1);
    EXPECT_EQ(patched("libclient_table.so", SlotKind::kPointer), 1U);
}

TEST_F(Slots, PointersThatTheProgramHasChangedAreItsOwn) {
    const Library client("libclient_table.so");
    client.get<void(int (*)(int, int))>("client_set_table")([](int a, int b) { return a - b; });
    install_all();
    EXPECT_EQ(client.get<int(int, int)>("client_add_through_table")(2, 3), -1);
    EXPECT_EQ(patched("libclient_table.so", SlotKind::kPointer), 0U);
    EXPECT_EQ(skipped("libclient_table.so").size(), 1U);
}

TEST_F(Slots, PointersStayAsTheyAreWherePolicySaysSo) {
    const Library client("libclient_table.so");
    Policy policy = usual_policy();
    policy.patch_pointers = false;
    ASSERT_TRUE(install(hooks(), policy));
    client.get<int(int, int)>("client_add_through_table")(2, 3);
    EXPECT_EQ(add.calls, 0);
}

TEST_F(Slots, PackedRelativeRelocationsDoNotConfuse) {
    const Library client("libclient_relr.so");
    install_all();
    EXPECT_EQ(client.add(2, 3) + client.get<int(int, int)>("client_add_through_table")(2, 3), 10);
    EXPECT_EQ(add.calls, 2);
}

TEST_F(Slots, EachSymbolVersionHasItsOwnHook) {
    const Library client("libclient_lazy.so");
    const Library old("libclient_old.so");
    install_all();
    EXPECT_EQ(old.scale(4), 8);
    EXPECT_EQ(scale_1.calls, 1);
    EXPECT_EQ(scale_2.calls, 0);
    EXPECT_EQ(client.scale(4), 12);
    EXPECT_EQ(scale_2.calls, 1);
}

TEST_F(Slots, HookWithoutVersionIsForTheDefaultOneOnly) {
    const Library client("libclient_lazy.so");
    const Library old("libclient_old.so");
    const std::vector<Hook> table{scale_hook(nullptr)};
    ASSERT_TRUE(install(table, usual_policy()));
    EXPECT_EQ(old.scale(4), 8);
    EXPECT_EQ(scale_2.calls, 0);
    EXPECT_EQ(client.scale(4), 12);
    EXPECT_EQ(scale_2.calls, 1);
    EXPECT_EQ(skipped("libclient_old.so"), std::vector<std::string>{"vendor_scale: bound to libvendor.so.1"});
}

TEST_F(Slots, ClientOlderThanTheVersionsBindsToTheFirstOfThem) {
    const Library client("libclient_unversioned.so");
    const Library same("libclient_unversioned.so");
    install_all();
    EXPECT_EQ(client.scale(4), 8);
    EXPECT_EQ(scale_1.calls, 1);
    EXPECT_EQ(scale_2.calls, 0);
}

TEST_F(Slots, AnotherLibrarysFunctionOfTheNameIsLeftAlone) {
    for (const bool bound : {false, true}) {
        const Library client("libclient_other.so");
        const Library user("libclient_lazy.so");
        if (bound) client.add(2, 3);
        install_all();
        EXPECT_EQ(client.add(2, 3), 6) << "the stranger multiplies";
        EXPECT_EQ(add.calls, 0);
        EXPECT_EQ(skipped("libclient_other.so"),
                  std::vector<std::string>{"vendor_add: bound to libother.so"});
        EXPECT_EQ(user.add(2, 3), 5);
        EXPECT_EQ(add.calls, 1);
        add.calls = 0;
        uninstall();
    }
}

TEST_F(Slots, UnderlinkedClientIsPatched) {
    const Library vendor("libvendor.so.1", RTLD_LAZY | RTLD_GLOBAL);
    const Library client("libclient_underlinked.so");
    install_all();
    EXPECT_EQ(client.add(2, 3), 5);
    EXPECT_EQ(add.calls, 1);
}

TEST_F(Slots, WeakReferenceThatFoundNothingStaysNull) {
    const Library client("libclient_weak.so");
    const Library vendor("libvendor.so.1");
    install_all();
    EXPECT_EQ(*slot_of("libclient_weak.so", "vendor_add", SlotKind::kJumpSlot), nullptr);
    EXPECT_EQ(skipped("libclient_weak.so").size(), 2U);
}

TEST_F(Slots, ExcludedModulesAreNotTouched) {
    const Library client("libclient_lazy.so");
    Policy policy = usual_policy();
    policy.excluded.push_back("libclient_l*");
    ASSERT_TRUE(install(hooks(), policy));
    client.add(2, 3);
    EXPECT_EQ(add.calls, 0);
    EXPECT_EQ(slots_patched(), 0U);
}

TEST_F(Slots, VendorsInnerCallsAreItsOwn) {
    const Library vendor("libvendor.so.1");
    install_all();
    EXPECT_EQ(vendor.get<int(int, int)>("vendor_add_twice")(1, 2), 5);
    EXPECT_EQ(add.calls, 0);
}

int foreign_add(int a, int b) {
    return a - b;
}

TEST_F(Slots, AnotherToolsHookInTheSlotIsLeftAlone) {
    const Library client("libclient_lazy.so");
    void** slot = slot_of("libclient_lazy.so", "vendor_add", SlotKind::kJumpSlot);
    *slot = reinterpret_cast<void*>(&foreign_add);
    install_all();
    EXPECT_EQ(client.add(2, 3), -1);
    ASSERT_EQ(skipped("libclient_lazy.so").size(), 1U);
    EXPECT_NE(skipped("libclient_lazy.so")[0].find("bound to "), std::string::npos);
}

TEST_F(Slots, SlotThatLazyBindingOverwroteIsPatchedAgain) {
    const Library client("libclient_lazy.so");
    install_all();
    // A thread that was inside the loader's binding of this call while it was patched stores the function's
    // address now.
    *slot_of("libclient_lazy.so", "vendor_add", SlotKind::kJumpSlot) = add.original.load();
    EXPECT_TRUE(refresh());
    client.add(2, 3);
    EXPECT_EQ(add.calls, 1);
}

TEST_F(Slots, UninstallPutsEverythingBack) {
    const Library lazy("libclient_lazy.so");
    const Library now("libclient_now.so");
    void** slot = slot_of("libclient_lazy.so", "vendor_add", SlotKind::kJumpSlot);
    void* before = *slot;
    install_all();
    EXPECT_NE(*slot, before);
    uninstall();
    EXPECT_EQ(*slot, before);
    EXPECT_EQ(lazy.add(2, 3) + now.add(2, 3), 10);
    EXPECT_EQ(add.calls, 0);
    EXPECT_EQ(slots_patched(), 0U);
}

TEST_F(Slots, SecondTableIsRefused) {
    install_all();
    EXPECT_FALSE(install(hooks(), usual_policy()));
}

}  // namespace
}  // namespace fumi::interpose
