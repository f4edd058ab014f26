# Makes one C++ file of the page: cmake -DPAGE=DIR -DOUTPUT=FILE -P embed.cmake
# report.html names its parts as @STYLE@, @PLOT@, @SCRIPT@ and, once, @DATA@.
file(READ ${PAGE}/report.html html)
foreach(part STYLE:report.css PLOT:plot.js SCRIPT:report.js)
  string(REPLACE ":" ";" pair ${part})
  list(GET pair 0 name)
  list(GET pair 1 file)
  file(READ ${PAGE}/${file} text)
  string(REPLACE "@${name}@" "${text}" html "${html}")
endforeach()
string(FIND "${html}" "@DATA@" place)
if(place EQUAL -1)
  message(FATAL_ERROR "report.html has no @DATA@")
endif()
string(SUBSTRING "${html}" 0 ${place} before)
math(EXPR place "${place} + 6")
string(SUBSTRING "${html}" ${place} -1 after)

# A raw string literal may hold 64 KiB in some compilers: pieces of 8000 characters are joined by the compiler.
function(literal text result)
  set(pieces "")
  string(LENGTH "${text}" length)
  set(at 0)
  while(at LESS length)
    string(SUBSTRING "${text}" ${at} 8000 piece)
    string(APPEND pieces "R\"~~~(${piece})~~~\"\n")
    math(EXPR at "${at} + 8000")
  endwhile()
  set(${result} "${pieces}" PARENT_SCOPE)
endfunction()
literal("${before}" before)
literal("${after}" after)
file(WRITE ${OUTPUT} "// Generated from tools/fumi/page by embed.cmake.
#include \"tools/fumi/report_page.h\"

namespace fumi::tool {

const char* const page_before_data = ${before};
const char* const page_after_data = ${after};

}  // namespace fumi::tool
")
