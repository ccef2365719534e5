#include "cliplens/io/partial_directory.h"

#include <filesystem>
#include <optional>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cliplens/io/file.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;
using Mode = PartialDirectory::Mode;

TEST(PartialDirectory, IsThereWholeOrNotAtAll) {
  const TemporaryDirectory directory;
  const fs::path out = directory.path() / "out";
  {
    PartialDirectory dropped(out);
    WriteFileAtomically(dropped.path() / "file", std::string_view("x"));
  }
  EXPECT_FALSE(fs::exists(out));
  EXPECT_FALSE(fs::exists(PartialDirectory::PartialPath(out)));
  PartialDirectory kept(out / "");
  WriteFileAtomically(kept.path() / "file", std::string_view("x"));
  kept.Commit();
  EXPECT_TRUE(fs::exists(out / "file"));
  ExpectError(ErrorCode::kPrecondition, "exists already", [&] { PartialDirectory again(out); });
  ExpectError(ErrorCode::kNotFound, "make its parent first",
              [&] { PartialDirectory again(directory.path() / "no/out"); });
}

TEST(PartialDirectory, ALaterRunGoesOnWithWhatWasKept) {
  const TemporaryDirectory directory;
  const fs::path out = directory.path() / "out";
  {
    PartialDirectory first(out);
    EXPECT_FALSE(first.resumed());
    WriteFileAtomically(first.path() / "file", std::string_view("x"));
    first.KeepOnFailure();
  }
  ExpectError(ErrorCode::kPrecondition, "cut off; try this",
              [&] { PartialDirectory second(out, Mode::kNew, "try this"); });
  {
    PartialDirectory dropped(out, Mode::kResume);
    EXPECT_TRUE(dropped.resumed());
  }
  PartialDirectory third(out, Mode::kResume);
  third.Commit();
  EXPECT_TRUE(fs::exists(out / "file"));
}

TEST(PartialDirectory, OneProcessAtATime) {
  const TemporaryDirectory directory;
  const fs::path out = directory.path() / "out";
  std::optional<PartialDirectory> first;
  first.emplace(out);
  for (const Mode mode : {Mode::kNew, Mode::kResume}) {
    ExpectError(ErrorCode::kPrecondition, "another run is writing it",
                [&] { PartialDirectory second(out, mode); });
  }
  first->KeepOnFailure();
  first.reset();
  // The lock goes with the process that held it, however that ends.
  const pid_t child = ::fork();
  if (child == 0) {
    PartialDirectory held(out, Mode::kResume);
    ::_exit(0);
  }
  ASSERT_GT(child, 0);
  int status = 0;
  ::waitpid(child, &status, 0);
  PartialDirectory(out, Mode::kResume).Commit();
  EXPECT_TRUE(fs::exists(out));
}

}  // namespace
}  // namespace cliplens
