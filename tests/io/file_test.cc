#include "cliplens/io/file.h"

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cliplens/io/random_access_file.h"

namespace cliplens {
namespace {

std::string Text(std::span<const std::uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

std::vector<std::string> Names(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

TEST(ReadFileTest, ReadsTheWholeFile) {
  const TemporaryDirectory directory;
  const std::string content(200'000, 'x');
  const auto path = directory.Write("a.bin", content + "end");
  EXPECT_EQ(Text(ReadFile(path, 1 << 20)), content + "end");
  EXPECT_EQ(ReadTextFile(path, 200'003), content + "end");
  EXPECT_EQ(ReadTextFile(directory.Write("empty", ""), 0), "");
}

TEST(ReadFileTest, RefusesWhatIsTooLarge) {
  const TemporaryDirectory directory;
  const auto path = directory.Write("a.bin", "12345");
  ExpectError(ErrorCode::kExhausted, "a.bin: has 5 bytes or more, at most 4 are read",
              [&] { ReadFile(path, 4); });
}

TEST(ReadFileTest, RefusesDevicesAndPipesThatNobodyNamed) {
  ExpectError(ErrorCode::kInvalidArgument, "/dev/zero: is a device",
              [] { ReadFile("/dev/zero", 1 << 20); });
  const TemporaryDirectory directory;
  const auto path = directory.path() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);  // nobody writes to it
  ExpectError(ErrorCode::kInvalidArgument, "is a pipe", [&] { ReadTextFile(path, 100); });
}

TEST(ReadFileTest, ReadsPipesThatACommandWritesTo) {
  std::array<int, 2> ends;
  ASSERT_EQ(::pipe(ends.data()), 0);
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(::write(ends[1], "through a pipe", 14), 14);
    ::close(ends[1]);
  });
  // What the shell puts in place of <(command).
  const std::string path = "/dev/fd/" + std::to_string(ends[0]);
  ExpectError(ErrorCode::kInvalidArgument, "is a pipe", [&] { ReadTextFile(path, 100); });
  EXPECT_EQ(ReadTextFile(path, 100, FileKind::kRegularOrPipe), "through a pipe");
  writer.join();
  ::close(ends[0]);
}

// Opening such a pipe would wait until somebody writes to it.
TEST(ReadFileTest, RefusesAtOnceWhatMayNeverEnd) {
  const TemporaryDirectory directory;
  const auto pipe = directory.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  ExpectError(ErrorCode::kInvalidArgument, "standard input: < PIPE",
              [&] { ReadTextFile(pipe, 100, FileKind::kRegularOrPipe); });
  const auto socket = directory.path() / "socket";
  ASSERT_EQ(::mknod(socket.c_str(), S_IFSOCK | 0600, 0), 0);
  for (const FileKind kind : {FileKind::kRegular, FileKind::kRegularOrPipe}) {
    ExpectError(ErrorCode::kInvalidArgument, "is a socket",
                [&] { ReadTextFile(socket, 100, kind); });
    ExpectError(ErrorCode::kInvalidArgument, "is a file of the kernel",
                [&] { ReadTextFile("/proc/self/status", 1 << 20, kind); });
    ExpectError(ErrorCode::kInvalidArgument, "is a directory",
                [&] { ReadTextFile(directory.path(), 100, kind); });
  }
  ExpectError(ErrorCode::kInvalidArgument, "is a file of the kernel",
              [] { MappedFile file("/proc/self/maps"); });
  ExpectError(ErrorCode::kInvalidArgument, "is a socket", [&] { MappedFile file(socket); });
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  ASSERT_EQ(::grantpt(terminal), 0);
  ASSERT_EQ(::unlockpt(terminal), 0);
  const std::string name = ::ptsname(terminal);
  ExpectError(ErrorCode::kInvalidArgument, "is a terminal",
              [&] { ReadTextFile(name, 100, FileKind::kRegularOrPipe); });
  ::close(terminal);
}

TEST(RandomAccessFileTest, ReadsWhereItIsAskedToAndTellsOfACut) {
  const TemporaryDirectory directory;
  const auto path = directory.Write("a.bin", "0123456789");
  const RandomAccessFile file(path);
  EXPECT_EQ(file.size(), 10);
  std::vector<std::uint8_t> out(3);
  file.Read(4, out);
  EXPECT_EQ(Text(out), "456");
  std::filesystem::resize_file(path, 5);
  ExpectError(ErrorCode::kCorruptData, "a.bin: ends at byte 5, where 2 more were expected",
              [&] { file.Read(4, out); });
  ExpectError(ErrorCode::kInvalidArgument, "is a directory",
              [&] { RandomAccessFile other(directory.path()); });
}

TEST(ReadFileTest, NamesWhatIsMissing) {
  const TemporaryDirectory directory;
  ExpectError(ErrorCode::kNotFound, "gone.bin",
              [&] { ReadFile(directory.path() / "gone.bin", 9); });
  ExpectError(ErrorCode::kInvalidArgument, "is a directory",
              [&] { ReadFile(directory.path(), 9); });
  ExpectError(ErrorCode::kNotFound, "x\\x0ay", [] { ReadFile("x\ny", 9); });
}

TEST(MappedFileTest, MapsAndMoves) {
  const TemporaryDirectory directory;
  MappedFile file(directory.Write("a.bin", "hello"));
  const std::uint8_t* data = file.bytes().data();
  MappedFile moved(std::move(file));
  EXPECT_EQ(moved.bytes().data(), data);
  EXPECT_EQ(Text(moved.bytes()), "hello");
  MappedFile other(directory.Write("b.bin", "other"));
  other = std::move(moved);
  EXPECT_EQ(Text(other.bytes()), "hello");
  EXPECT_EQ(other.path().filename(), "a.bin");
}

TEST(MappedFileTest, MapsTheEmptyFile) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(MappedFile(directory.Write("empty", "")).bytes().empty());
}

TEST(MappedFileTest, RefusesWhatIsNoFile) {
  const TemporaryDirectory directory;
  ExpectError(ErrorCode::kInvalidArgument, "is a directory",
              [&] { MappedFile file(directory.path()); });
  ExpectError(ErrorCode::kNotFound, "gone", [&] { MappedFile file(directory.path() / "gone"); });
  const auto pipe = directory.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  ExpectError(ErrorCode::kInvalidArgument, "is a pipe", [&] { MappedFile file(pipe); });
}

TEST(MappedFileTest, TellsOfMissingPermission) {
  if (::geteuid() == 0) GTEST_SKIP() << "the superuser may read every file";
  const TemporaryDirectory directory;
  const auto path = directory.Write("secret", "x");
  ::chmod(path.c_str(), 0);
  ExpectError(ErrorCode::kPrecondition, "secret", [&] { MappedFile file(path); });
}

TEST(AtomicFileTest, ReplacesOnCommitOnly) {
  const TemporaryDirectory directory;
  const auto path = directory.Write("a.txt", "before");
  {
    AtomicFile file(path);
    file.Write(std::string_view("half"));
    EXPECT_EQ(ReadTextFile(path, 100), "before");
  }
  EXPECT_EQ(ReadTextFile(path, 100), "before");
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{"a.txt"});
  {
    AtomicFile file(path);
    file.Write(std::string_view("af"));
    file.Write(std::string_view("ter"));
    file.Commit();
  }
  EXPECT_EQ(ReadTextFile(path, 100), "after");
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{"a.txt"});
}

TEST(AtomicFileTest, ManyWritersLeaveOneWholeFile) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "a.txt";
  std::vector<std::thread> writers;
  for (char letter = 'a'; letter < 'i'; ++letter) {
    writers.emplace_back([&, letter] {
      for (int i = 0; i < 5; ++i) WriteFileAtomically(path, std::string(100'000, letter));
    });
  }
  for (std::thread& writer : writers) writer.join();
  const std::string content = ReadTextFile(path, 1 << 20);
  EXPECT_EQ(content, std::string(100'000, content[0]));
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{"a.txt"});
}

TEST(AtomicFileTest, WritesThroughALink) {
  const TemporaryDirectory directory;
  const auto target = directory.Write("target.txt", "before");
  std::filesystem::create_symlink("target.txt", directory.path() / "link.txt");
  WriteFileAtomically(directory.path() / "link.txt", std::string_view("after"));
  EXPECT_TRUE(std::filesystem::is_symlink(directory.path() / "link.txt"));
  EXPECT_EQ(ReadTextFile(target, 100), "after");
}

TEST(AtomicFileTest, RefusesWhatItCannotReplace) {
  const TemporaryDirectory directory;
  ExpectError(ErrorCode::kNotFound, "gone/a.txt",
              [&] { AtomicFile file(directory.path() / "gone/a.txt"); });
  ExpectError(ErrorCode::kInvalidArgument, "is a directory",
              [&] { AtomicFile file(directory.path()); });
  ExpectError(ErrorCode::kInvalidArgument, "device", [] { AtomicFile file("/dev/null"); });
  ExpectError(ErrorCode::kInvalidArgument, "has no file name", [] { AtomicFile file(""); });
  ExpectError(ErrorCode::kInternal, "after Commit", [&] {
    AtomicFile file(directory.path() / "a.txt");
    file.Commit();
    file.Write(std::string_view("x"));
  });
}

TEST(AtomicFileTest, AFullDiskLeavesNothing) {
  const TemporaryDirectory directory;
  const auto path = directory.Write("a.txt", "before");
  // A limit on the size of files stands in for a disk without space.
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit limit = before;
  limit.rlim_cur = 4096;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  ExpectError(ErrorCode::kExhausted, "a.txt: cannot write",
              [&] { WriteFileAtomically(path, std::string(10'000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(ReadTextFile(path, 100), "before");
  EXPECT_EQ(Names(directory.path()), std::vector<std::string>{"a.txt"});
}

TEST(HasherTest, EqualsThePublishedValue) {
  // XXH3-128 of no bytes, from xxHash's own specification.
  EXPECT_EQ(HashBytes({}), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(Hasher().Digest(), "99aa06d3014798d86001c324468d497f");
}

TEST(HasherTest, DoesNotDependOnThePieces) {
  std::vector<std::uint8_t> bytes(10'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 7);
  Hasher hasher;
  const std::span<const std::uint8_t> all(bytes);
  hasher.Update(all.first(1));
  hasher.Update(all.subspan(1, 4000));
  hasher.Update(all.subspan(4001));
  EXPECT_EQ(hasher.Digest(), HashBytes(bytes));
  bytes[5000] ^= 1;
  EXPECT_NE(hasher.Digest(), HashBytes(bytes));
}

}  // namespace
}  // namespace cliplens
