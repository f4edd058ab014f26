// dlopen, dlsym and dlclose of the program: modules that come and go, and look-ups that depend on who asks.
#include <cerrno>

#include "tests/interpose/support.h"

namespace fumi::interpose {
namespace {

class Loader : public Interpose {
  protected:
    static void* wrapper() { return reinterpret_cast<void*>(&wrapped_add); }
};

TEST_F(Loader, VendorThatComesLaterIsResolvedThen) {
    install_all();
    EXPECT_EQ(add.original, nullptr);
    EXPECT_FALSE(refresh()) << "nothing was loaded";
    const Library client("libclient_lazy.so");
    EXPECT_TRUE(refresh());
    EXPECT_NE(add.original, nullptr);
    EXPECT_EQ(client.add(2, 3), 5);
    EXPECT_EQ(add.calls, 1);
}

TEST_F(Loader, ClientThatWasThereBeforeTheVendorIsPatchedOnceItComes) {
    const Library client("libclient_underlinked.so");
    install_all();
    EXPECT_EQ(skipped("libclient_underlinked.so"),
              (std::vector<std::string>{"vendor_scale: libvendor.so.* is not loaded",
                                        "vendor_add: libvendor.so.* is not loaded"}));
    const Library vendor("libvendor.so.1", RTLD_LAZY | RTLD_GLOBAL);
    EXPECT_TRUE(refresh());
    EXPECT_EQ(client.add(2, 3), 5);
    EXPECT_EQ(add.calls, 1);
}

TEST_F(Loader, DlopenOfThePatchedModulesPatchesWhatItLoads) {
    const Library opener("libclient_lazy.so");
    install_all();
    void* late = opener.dlopen_from(fixture("libclient_now.so").c_str());
    ASSERT_NE(late, nullptr);
    EXPECT_EQ(patched("libclient_now.so", SlotKind::kJumpSlot), 2U) << "before anybody calls refresh()";
    reinterpret_cast<int (*)(int, int)>(dlsym(late, "client_add"))(2, 3);
    EXPECT_EQ(add.calls, 1);
    dlclose(late);
}

TEST_F(Loader, PollFindsModulesThatNoPatchedDlopenLoaded) {
    install_all();
    const Library client("libclient_lazy.so");
    for (std::uint32_t i = 0; i < detail::kPollsPerCheck; ++i) poll();
    client.add(2, 3);
    EXPECT_EQ(add.calls, 1);
}

// What the sanitizers' own dlopen does with RUNPATH is not ours to test: compare with the outcome before
// install().
TEST_F(Loader, DlopenKeepsTheCallersRunpathAndOrigin) {
    for (const char* name : {"libengine.so", "$ORIGIN/engines/libengine.so"}) {
        const Library client("libclient_runpath.so");
        void* before = client.dlopen_from(name);
        if (before != nullptr) dlclose(before);
        install_all();
        void* engine = client.dlopen_from(name);
        EXPECT_EQ(engine != nullptr, before != nullptr) << name;
#if !FUMI_SANITIZED
        ASSERT_NE(engine, nullptr) << name << ": " << dlerror();
#endif
        if (engine != nullptr) {
            poll();  // the dlopen said that something may have come
            EXPECT_EQ(reinterpret_cast<int (*)(int, int)>(dlsym(engine, "engine_run"))(2, 3), 5);
            EXPECT_EQ(add.calls, 1) << name;
            dlclose(engine);
        }
        add.calls = 0;
        uninstall();
    }
}

TEST_F(Loader, DispatcherGoesOnFindingItsSiblings) {
    for (const bool excluded : {true, false}) {
        const Library dispatcher("libdispatcher.so");
        auto* dispatch = dispatcher.get<int(const char*, int, int)>("dispatch");
        const int before = dispatch("libengine.so", 1, 1);
        Policy policy = usual_policy();
        if (excluded) policy.excluded.push_back("libdispatcher*");
        ASSERT_TRUE(install(hooks(), policy));
        EXPECT_EQ(dispatch("libengine.so", 1, 1), before);
#if !FUMI_SANITIZED
        EXPECT_EQ(before, 2);
        EXPECT_EQ(add.calls, excluded ? 0 : 1) << "its dlsym is the first that may notice the engine";
#endif
        add.calls = 0;
        uninstall();
    }
}

TEST_F(Loader, FailedDlopenTellsTheSameError) {
    const Library client("libclient_lazy.so");
    for (const char* name : {"/nowhere/libnothing.so", "libnothing.so"}) {
        ASSERT_EQ(client.dlopen_from(name), nullptr);
        const std::string before = dlerror();
        install_all();
        EXPECT_EQ(client.dlopen_from(name), nullptr);
        const char* after = dlerror();
        ASSERT_NE(after, nullptr);
        EXPECT_EQ(before, after);
        EXPECT_EQ(dlerror(), nullptr);
        uninstall();
    }
}

TEST_F(Loader, DlsymByHandleHandsOutTheWrapper) {
    const Library client("libclient_lazy.so");
    const Library vendor("libvendor.so.1");
    install_all();
    EXPECT_EQ(client.dlsym_from(vendor.handle(), "vendor_add"), wrapper());
    EXPECT_EQ(client.dlsym_from(client.handle(), "vendor_add"), wrapper())
        << "found among the client's dependencies";
    EXPECT_EQ(dlerror(), nullptr);
    EXPECT_EQ(report().hooks[0].handed_out, 2U);
}

TEST_F(Loader, DlsymOfAStrangersFunctionIsTheStrangers) {
    const Library client("libclient_lazy.so");
    const Library other("libother.so");
    install_all();
    void* real = dlsym(other.handle(), "vendor_add");
    EXPECT_EQ(client.dlsym_from(other.handle(), "vendor_add"), real);
    EXPECT_NE(real, wrapper());
}

TEST_F(Loader, DlvsymTellsVersionsApart) {
    const Library client("libclient_lazy.so");
    const Library vendor("libvendor.so.1");
    install_all();
    EXPECT_EQ(client.dlvsym_from(vendor.handle(), "vendor_scale", "VENDOR_1"),
              reinterpret_cast<void*>(&wrapped_scale<scale_1>));
    EXPECT_EQ(client.dlvsym_from(vendor.handle(), "vendor_scale", "VENDOR_2"),
              reinterpret_cast<void*>(&wrapped_scale<scale_2>));
    EXPECT_EQ(client.dlsym_from(vendor.handle(), "vendor_scale"),
              reinterpret_cast<void*>(&wrapped_scale<scale_2>));
    EXPECT_EQ(client.dlvsym_from(vendor.handle(), "vendor_scale", "VENDOR_3"), nullptr);
    EXPECT_NE(std::string(dlerror()).find("VENDOR_3"), std::string::npos);
}

TEST_F(Loader, DlvsymOfAVersionThatHasNoHookIsTheTruth) {
    const Library client("libclient_lazy.so");
    const Library vendor("libvendor.so.1");
    const std::vector<Hook> table{scale_hook(nullptr)};
    ASSERT_TRUE(install(table, usual_policy()));
    EXPECT_EQ(client.dlvsym_from(vendor.handle(), "vendor_scale", "VENDOR_1"),
              dlvsym(vendor.handle(), "vendor_scale", "VENDOR_1"));
}

TEST_F(Loader, RtldDefaultSearchesTheScopeOfTheCaller) {
    const Library client("libclient_lazy.so");
    install_all();
    void* own = client.dlsym_from(RTLD_DEFAULT, "client_private");
    EXPECT_EQ(own, dlsym(client.handle(), "client_private")) << "only visible from inside the client";
    EXPECT_EQ(dlsym(RTLD_DEFAULT, "client_private"), nullptr);
}

// In a child: the loader never again unloads what RTLD_DEFAULT has found.
TEST_F(Loader, RtldDefaultHandsOutTheWrapperWhereTheTruthIsTheHooked) {
    EXPECT_EQ(in_child([] {
                  const Library client("libclient_lazy.so");
                  const Library vendor("libvendor.so.1", RTLD_LAZY | RTLD_GLOBAL);
                  if (!install(hooks(), usual_policy())) return 1;
                  if (client.dlsym_from(RTLD_DEFAULT, "vendor_add") != wrapper()) return 2;
                  return client.dlvsym_from(RTLD_DEFAULT, "vendor_add", "VENDOR_1") == wrapper() ? 0 : 3;
              }),
              0);
}

TEST_F(Loader, RtldNextIsAnsweredByTheLoaderForTheCaller) {
    const Library client("libclient_lazy.so");
    void* before = client.dlsym_from(RTLD_NEXT, "vendor_add");
    EXPECT_NE(before, nullptr);
    install_all();
    EXPECT_EQ(client.dlsym_from(RTLD_NEXT, "vendor_add"), before);
    EXPECT_EQ(client.dlsym_from(RTLD_NEXT, "client_private"), nullptr);
    EXPECT_NE(dlerror(), nullptr);
}

TEST_F(Loader, OtherNamesPassThrough) {
    const Library client("libclient_lazy.so");
    install_all();
    EXPECT_EQ(client.dlsym_from(client.handle(), "client_private"), dlsym(client.handle(), "client_private"));
    EXPECT_EQ(client.dlsym_from(client.handle(), "vendor_nothing"), nullptr);
    EXPECT_NE(std::string(dlerror()).find("vendor_nothing"), std::string::npos);
}

TEST_F(Loader, DlsymFindsAVendorThatNoPatchedDlopenLoaded) {
    const Library asker("libclient_underlinked.so");
    install_all();
    const Library vendor("libvendor.so.1");
    EXPECT_EQ(asker.dlsym_from(vendor.handle(), "vendor_add"), wrapper());
}

TEST_F(Loader, PolicySwitchesDlsymAndDlopenOff) {
    const Library client("libclient_lazy.so");
    Policy policy = usual_policy();
    policy.patch_dlsym = false;
    policy.patch_dlopen = false;
    ASSERT_TRUE(install(hooks(), policy));
    EXPECT_EQ(client.dlsym_from(client.handle(), "vendor_add"), add.original);
    void* late = client.dlopen_from(fixture("libclient_now.so").c_str());
    EXPECT_EQ(patched("libclient_now.so", SlotKind::kJumpSlot), 0U);
    dlclose(late);
}

TEST_F(Loader, UnloadedModulesAreForgottenAndReloadedOnesPatched) {
    const Library keeper("libclient_now.so");
    install_all();
    for (int round = 0; round < 3; ++round) {
        {
            const Library client("libclient_lazy.so");
            refresh();
            EXPECT_EQ(slots_patched(), 4U);
            add.calls = 0;
            EXPECT_EQ(client.add(2, 3), 5);
            EXPECT_EQ(add.calls, 1);
        }
        EXPECT_EQ(dlopen(fixture("libclient_lazy.so").c_str(), RTLD_LAZY | RTLD_NOLOAD), nullptr)
            << "we keep nothing loaded";
        refresh();
        EXPECT_EQ(slots_patched(), 2U);
    }
}

TEST_F(Loader, ReloadBetweenTwoLooksIsNoticed) {
    install_all();
    auto client = std::make_unique<Library>("libclient_lazy.so");
    refresh();
    client->add(2, 3);
    EXPECT_EQ(add.calls, 1);
    client.reset();
    client =
        std::make_unique<Library>("libclient_lazy.so");  // most likely at the same address, with fresh slots
    refresh();
    client->add(2, 3);
    EXPECT_EQ(add.calls, 2);
}

TEST_F(Loader, OriginalIsWithdrawnWhenTheVendorIsUnloadedAndRenewedWithIt) {
    auto vendor = std::make_unique<Library>("libvendor.so.1");
    install_all();
    EXPECT_NE(add.original, nullptr);
    vendor.reset();
    refresh();
    EXPECT_EQ(add.original, nullptr);
    EXPECT_EQ(report().hooks[0].note, "unloaded");
    const Library again("libvendor.so.1");
    refresh();
    EXPECT_EQ(add.original, dlsym(again.handle(), "vendor_add"));
}

TEST_F(Loader, RefreshLeavesErrnoAndDlerrorAlone) {
    install_all();
    const Library client("libclient_lazy.so");
    errno = 77;
    EXPECT_TRUE(refresh());
    EXPECT_EQ(errno, 77);
    EXPECT_EQ(dlerror(), nullptr);
}

TEST_F(Loader, HookThatTheLibraryDoesNotExportIsReported) {
    const Library client("libclient_lazy.so");
    std::atomic<void*> original{nullptr};
    const std::vector<Hook> table{{"vendor_missing", nullptr, "libvendor.so.*", wrapper(), &original}};
    ASSERT_TRUE(install(table, usual_policy()));
    EXPECT_EQ(report().hooks[0].note, "not exported by libvendor.so.1");
    EXPECT_EQ(original, nullptr);
    EXPECT_EQ(slots_patched(), 0U);
}

}  // namespace
}  // namespace fumi::interpose
