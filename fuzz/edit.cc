// An edit's file. Its checksum would keep every change from what lies behind it, so @edit.json@
// stands for it.
#include "cliplens/decompose/edit.h"

#include "fuzz/fuzz.h"

#include "cliplens/decompose/edit_file.h"
#include "cliplens/io/file.h"

using namespace cliplens;

CLIPLENS_FUZZ_TARGET(edit) {
  constexpr std::string_view kSeal = "@edit.json@";
  std::string text(fuzz::AsText(input));
  if (const std::size_t at = text.rfind(kSeal); at != std::string::npos) {
    text.replace(at, kSeal.size(), std::string(32, '0'));
    text.replace(at, 32,
                 HashBytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
  }
  const fuzz::Scratch scratch;
  fuzz::Guard([&] {
    const Edit edit = ReadEdit(scratch.Write("edit.json", text));
    // What was read can be written and read again.
    WriteEdit(scratch.path() / "again.json", edit);
    if (ReadEdit(scratch.path() / "again.json").Names() != edit.Names()) {
      throw std::logic_error("an edit changes when it is written");
    }
  });
}
