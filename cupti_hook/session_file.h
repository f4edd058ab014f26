// The session of this process: where its file goes, and what is written at its head and foot.
#pragma once
#include <memory>
#include <string>

#include "config/config.h"
#include "cupti_hook/session/writer.h"

namespace fumi {

// FUMI_OUTPUT, else output_dir and the default name; %p is the process id. Where another running process
// writes that very file, the process id goes before its extension.
std::string session_path(const config::Config& config);

// Opens it; nullptr, after a message, where it cannot be written.
std::unique_ptr<session::Writer> open_session(const config::Config& config);

// Versions, device, command, config: known once CUDA is up.
void write_head(session::Writer& writer, const config::Config& config);
// What is hooked where, for `fumi doctor`.
void write_hooks(session::Writer& writer);

}  // namespace fumi
