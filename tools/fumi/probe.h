// What this machine has, found out in a child process: a driver may hang, crash or leave threads behind.
#pragma once
#include <functional>
#include <string>

namespace fumi::tool {

// Runs `body` in a child and returns what it returned; "" where the child died or took longer than `seconds`.
std::string in_child(const std::function<std::string()>& body, int seconds);

struct Driver {
    int devices = 0;
    std::string version;   // 13.0, "" where there is no driver
    std::string device;    // the name of device 0
    std::string obstacle;  // why no device can be used, "" where one can
};

Driver probe_driver();

}  // namespace fumi::tool
