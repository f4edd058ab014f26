// The page of the report, generated from page/ at build time: everything before and after its data.
#pragma once

namespace fumi::tool {

extern const char* const page_before_data;
extern const char* const page_after_data;

}  // namespace fumi::tool
