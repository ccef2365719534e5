#include "cliplens/io/output_files.h"

#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cliplens/io/file.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

class OutputFilesTest : public testing::Test {
 protected:
  fs::path path(const std::string& name) const { return directory_.path() / name; }

  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory_.path())) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }

  TemporaryDirectory directory_;
};

TEST_F(OutputFilesTest, AllAppearAtOnce) {
  OutputFiles files({path("a"), "", path("b")});
  files.Write(path("a"), "one ");
  files.Write(path("a"), "two");
  files.Write("", "nothing");
  files.Write(path("b"), "");
  EXPECT_FALSE(fs::exists(path("a")));
  files.Commit();
  EXPECT_EQ(ReadTextFile(path("a"), 100), "one two");
  EXPECT_EQ(ReadTextFile(path("b"), 100), "");
  EXPECT_EQ(Names(), (std::vector<std::string>{"a", "b"}));
}

TEST_F(OutputFilesTest, NothingIsLeftWithoutCommit) {
  {
    OutputFiles files({path("a"), path("b")});
    files.Write(path("a"), "one");
  }
  EXPECT_TRUE(Names().empty());
  OutputFiles files({path("a"), path("b")});
  files.Write(path("a"), "one");
  ExpectError(ErrorCode::kInternal, "nothing was written", [&] { files.Commit(); });
}

TEST_F(OutputFilesTest, WhatExistsIsRefusedBeforeAnythingIsTouched) {
  directory_.Write("b", "mine");
  fs::create_symlink("nowhere", path("link"));
  for (const char* taken : {"b", "link"}) {
    ExpectError(ErrorCode::kPrecondition, "exists already", [&] {
      OutputFiles files({path("a"), path(taken)});
    });
  }
  ExpectError(ErrorCode::kNotFound, "check the path", [&] {
    OutputFiles files({path("a"), path("none/b")});
  });
  ExpectError(ErrorCode::kInvalidArgument, "two files", [&] {
    OutputFiles files({path("a"), path("./a")});
  });
  ExpectError(ErrorCode::kInvalidArgument, "no file name",
              [&] { OutputFiles files({path("a/")}); });
  EXPECT_EQ(Names(), (std::vector<std::string>{"b", "link"}));
  EXPECT_EQ(ReadTextFile(path("b"), 100), "mine");
}

TEST_F(OutputFilesTest, AFileThatIsMadeMeanwhileStaysAndTheOthersGo) {
  OutputFiles files({path("a"), path("b")});
  files.Write(path("a"), "one");
  files.Write(path("b"), "two");
  directory_.Write("b", "theirs");
  ExpectError(ErrorCode::kPrecondition, "exists already", [&] { files.Commit(); });
  // What was named is taken back when the object goes.
  EXPECT_EQ(ReadTextFile(path("b"), 100), "theirs");
}

TEST_F(OutputFilesTest, TwoRunsDoNotWriteOneFile) {
  OutputFiles files({path("a")});
  files.Write(path("a"), "first");
  ExpectError(ErrorCode::kPrecondition, "another run is writing it now",
              [&] { OutputFiles second({path("a")}); });
  files.Commit();
  EXPECT_EQ(ReadTextFile(path("a"), 100), "first");
}

TEST_F(OutputFilesTest, WhatAKilledRunLeftIsMended) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    OutputFiles files({path("a"), path("b")});
    files.Write(path("a"), "half");
    (void)::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(Names().size(), 2u);  // both hidden
  EXPECT_FALSE(OutputFiles::Exists(path("a")));
  OutputFiles files({path("a"), path("b")});
  files.Write(path("a"), "one");
  files.Write(path("b"), "two");
  files.Commit();
  EXPECT_EQ(Names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(ReadTextFile(path("a"), 100), "one");
}

TEST_F(OutputFilesTest, ALongNameIsWritten) {
  const std::string name(255, 'x');
  OutputFiles files({path(name)});
  files.Write(path(name), "x");
  files.Commit();
  EXPECT_EQ(Names(), (std::vector<std::string>{name}));
}

TEST_F(OutputFilesTest, AFullDiskLeavesNothing) {
  const std::string much(1 << 16, 'x');
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      OutputFiles files({path("a"), path("b")});
      files.Write(path("a"), "one");
      files.Write(path("b"), much);
      files.Commit();
    } catch (const Error& error) {
      ::_exit(error.code() == ErrorCode::kExhausted ? 0 : 1);
    }
    ::_exit(2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(Names().empty());
}

}  // namespace
}  // namespace cliplens
