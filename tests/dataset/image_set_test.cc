#include "cliplens/dataset/image_set.h"

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/expect_error.h"
#include "tests/tar_builder.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

std::string Text(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

std::vector<std::string> Paths(const ImageSet& set) {
  std::vector<std::string> paths;
  for (Index i = 0; i < set.size(); ++i) paths.push_back(set.item(i).path);
  return paths;
}

TEST(FolderTest, IsSortedByPathAndLabelledByFolder) {
  const TemporaryDirectory directory;
  for (const char* name :
       {"b/2.PNG", "b/10.jpg", "b/deep/1.webp", "a-b/1.jpeg", "a/1.png", "top.jpg"}) {
    directory.Write(name, std::string("content of ") + name);
  }
  for (const char* name : {".hidden.png", ".cache/1.png", "README", "b/notes.txt", "png"}) {
    directory.Write(name, "not a picture");
  }
  const auto set = OpenImageSet(directory.path());
  EXPECT_EQ(set->kind(), "folder");
  EXPECT_EQ(set->root(), directory.path());
  EXPECT_EQ(Paths(*set), (std::vector<std::string>{"a-b/1.jpeg", "a/1.png", "b/10.jpg", "b/2.PNG",
                                                   "b/deep/1.webp", "top.jpg"}));
  EXPECT_EQ(set->item(0).label, "a-b");
  EXPECT_EQ(set->item(4).label, "b");
  EXPECT_EQ(set->item(5).label, std::nullopt);
  EXPECT_TRUE(set->item(0).attributes.empty());
  EXPECT_EQ(Text(set->Read(2)), "content of b/10.jpg");
  EXPECT_EQ(set->ReadMask(2), std::nullopt);
  ExpectError(ErrorCode::kInvalidArgument, "picture 6 was asked for, the set has 6",
              [&] { set->item(6); });
  ExpectError(ErrorCode::kInvalidArgument, "picture -1", [&] { set->Read(-1); });
}

TEST(FolderTest, MasksStandBesidePictures) {
  const TemporaryDirectory directory;
  for (const char* name : {"1.mask.png", "1.png", "2.jpg", "2.mask.PNG", "alone.mask.png"}) {
    directory.Write(name, name);
  }
  const auto set = OpenImageSet(directory.path());
  EXPECT_EQ(Paths(*set), (std::vector<std::string>{"1.png", "2.jpg", "alone.mask.png"}));
  EXPECT_EQ(Text(set->ReadMask(0).value()), "1.mask.png");
  EXPECT_EQ(Text(set->ReadMask(1).value()), "2.mask.PNG");
  EXPECT_EQ(set->ReadMask(2), std::nullopt);
}

TEST(FolderTest, FollowsLinksOnce) {
  const TemporaryDirectory directory;
  directory.Write("outside/1.png", "linked");
  directory.Write("set/z/2.png", "own");
  const auto root = directory.path() / "set";
  namespace fs = std::filesystem;
  fs::create_directory_symlink("../outside", root / "a");
  fs::create_directory_symlink("../outside", root / "b");  // the same folder again
  fs::create_directory_symlink("../..", root / "z/loop");  // a folder that holds the set
  fs::create_directory_symlink("z", root / "c");           // a folder of the set
  fs::create_symlink("z/2.png", root / "file.png");
  fs::create_symlink("nowhere.png", root / "broken.png");
  fs::create_symlink("self.png", root / "self.png");
  const auto set = OpenImageSet(root);
  EXPECT_EQ(Paths(*set), (std::vector<std::string>{"a/1.png", "file.png", "z/2.png"}));
  EXPECT_EQ(Text(set->Read(0)), "linked");
  EXPECT_EQ(Text(set->Read(1)), "own");
}

TEST(FolderTest, LatticesOfLinksTakeNoTime) {
  const TemporaryDirectory directory;
  // 2^40 paths, 41 folders.
  for (int i = 0; i < 40; ++i) {
    const auto folder = directory.path() / ("d" + std::to_string(i));
    std::filesystem::create_directory(folder);
    const std::string next = "../d" + std::to_string(i + 1);
    std::filesystem::create_directory_symlink(next, folder / "a");
    std::filesystem::create_directory_symlink(next, folder / "b");
  }
  directory.Write("d40/1.png", "x");
  EXPECT_EQ(Paths(*OpenImageSet(directory.path() / "d0")).size(), 1u);
}

TEST(SinglePictureTest, IsASetOfOne) {
  const TemporaryDirectory directory;
  const auto path = directory.Write("folder/cat.JPG", "picture");
  const auto set = OpenImageSet(path);
  EXPECT_EQ(set->kind(), "picture");
  EXPECT_EQ(set->root(), path);
  EXPECT_EQ(Paths(*set), std::vector<std::string>{"cat.JPG"});
  EXPECT_EQ(set->item(0).label, std::nullopt);
  EXPECT_EQ(Text(set->Read(0)), "picture");
}

TEST(OpenImageSetTest, SaysWhatItLookedFor) {
  const TemporaryDirectory directory;
  ExpectError(ErrorCode::kNotFound, "gone: is not there",
              [&] { OpenImageSet(directory.path() / "gone"); });
  ExpectError(
      ErrorCode::kInvalidArgument,
      "notes.txt: ends in neither .jpg, .jpeg, .png or .webp nor .tar, .tar.gz, .csv, .tsv or .mat",
      [&] { OpenImageSet(directory.Write("texts/notes.txt", "x")); });
  ExpectError(ErrorCode::kNotFound,
              "no pictures in it or below; looked for .jpg, .jpeg, .png or .webp "
              "and for .tar, found 1 other files",
              [&] { OpenImageSet(directory.path() / "texts"); });
  directory.Write("mixed/1.png", "x");
  directory.Write("mixed/shards/a.tar", TarEnd());
  ExpectError(
      ErrorCode::kInvalidArgument,
      "has both pictures (1 of them, \"1.png\" first) and tar files (1, \"shards/a.tar\" first)",
      [&] { OpenImageSet(directory.path() / "mixed"); });
}

TEST(WebDatasetTest, GroupsMembersByKey) {
  const TemporaryDirectory directory;
  const auto path = directory.Write(
      "test-000.tar",
      TarMemberBytes("__readme__", "x") +
          TarMemberBytes("./000.JSON", R"({"label":"duck","n":[1,2]})") +
          TarMemberBytes("./000.mask.png", "mask 0") + TarMemberBytes("./000.png", "picture 0") +
          TarMemberBytes("b/000.jpg", "picture b") + TarMemberBytes("b/000.cls", "7\n") +
          TarMemberBytes("b/000.txt", "  a caption\n") + TarMemberBytes("b/000.npz", "ignored") +
          TarMemberBytes("only.json", "{}") + TarMemberBytes(".hidden.png", "x") +
          TarMemberBytes("001.webp", "picture 1") + TarMemberBytes("001.json", R"({"label":3})") +
          TarEnd());
  const auto set = OpenImageSet(path);
  EXPECT_EQ(set->kind(), "webdataset");
  EXPECT_EQ(set->root(), path);
  EXPECT_EQ(Paths(*set), (std::vector<std::string>{"test-000.tar/000.png", "test-000.tar/b/000.jpg",
                                                   "test-000.tar/001.webp"}));
  EXPECT_EQ(set->item(0).label, "duck");
  EXPECT_EQ(DumpJson(set->item(0).attributes), R"({"label":"duck","n":[1,2]})");
  EXPECT_EQ(Text(set->Read(0)), "picture 0");
  EXPECT_EQ(Text(set->ReadMask(0).value()), "mask 0");
  EXPECT_EQ(set->item(1).label, "7");
  EXPECT_EQ(DumpJson(set->item(1).attributes), R"({"caption":"a caption"})");
  EXPECT_EQ(set->ReadMask(1), std::nullopt);
  EXPECT_EQ(set->item(2).label, "3");
  EXPECT_EQ(Text(set->Read(2)), "picture 1");
}

TEST(WebDatasetTest, ReadsShardsInOrder) {
  const TemporaryDirectory directory;
  directory.Write("s-001.tar", TarMemberBytes("1.png", "second") + TarEnd());
  directory.Write("s-000.tar", TarMemberBytes("1.png", "first") + TarEnd());
  directory.Write("SHA256SUMS", "x");
  directory.Write("README.md", "x");
  const auto set = OpenImageSet(directory.path());
  EXPECT_EQ(Paths(*set), (std::vector<std::string>{"s-000.tar/1.png", "s-001.tar/1.png"}));
  EXPECT_EQ(Text(set->Read(0)), "first");
  EXPECT_EQ(Text(set->Read(1)), "second");
}

TEST(WebDatasetTest, LabelsOfOtherTypesAreNoLabels) {
  const TemporaryDirectory directory;
  const auto set = OpenImageSet(directory.Write(
      "a.tar", TarMemberBytes("0.png", "x") + TarMemberBytes("0.json", R"({"label":null})") +
                   TarMemberBytes("1.png", "x") + TarMemberBytes("1.json", R"({"label":0.5})") +
                   TarMemberBytes("1.cls", "9") + TarEnd()));
  EXPECT_EQ(set->item(0).label, std::nullopt);
  EXPECT_EQ(set->item(1).label, "0.5");  // the JSON's goes before the .cls member's
}

TEST(WebDatasetTest, RefusesItemsThatContradictThemselves) {
  const TemporaryDirectory directory;
  const auto open = [&](const std::string& members) {
    return OpenImageSet(directory.Write("a.tar", members + TarEnd()));
  };
  const std::string picture = TarMemberBytes("0.png", "x");
  ExpectError(ErrorCode::kCorruptData, "a.tar: \"0.png\" and \"0.png\" are for one item",
              [&] { open(picture + picture); });
  ExpectError(ErrorCode::kCorruptData, "a.tar: \"0.png\" and \"0.jpg\" are for one item",
              [&] { open(picture + TarMemberBytes("1.png", "x") + TarMemberBytes("0.jpg", "x")); });
  ExpectError(ErrorCode::kCorruptData, "\"0.json\" and \"0.json\"", [&] {
    open(picture + TarMemberBytes("0.json", "{}") + TarMemberBytes("0.json", "{}"));
  });
  ExpectError(ErrorCode::kExhausted, "\"0.json\" has 1048577 bytes, at most 1048576 are read",
              [&] { open(picture + TarMemberBytes("0.json", std::string((1 << 20) + 1, ' '))); });
  ExpectError(ErrorCode::kNotFound, "no pictures among the 1 members of 1 tar files",
              [&] { open(TarMemberBytes("0.txt", "x")); });
  ExpectError(ErrorCode::kCorruptData, "../0.png", [&] { open(TarMemberBytes("../0.png", "x")); });
  ExpectError(ErrorCode::kCorruptData, "a.tar/0.png: attributes: line 1, column 2",
              [&] { open(picture + TarMemberBytes("0.json", "{x}"))->item(0); });
  ExpectError(ErrorCode::kCorruptData, "is a JSON array",
              [&] { open(picture + TarMemberBytes("0.json", "[]"))->item(0); });
  ExpectError(ErrorCode::kCorruptData, "the .cls member is not UTF-8",
              [&] { open(picture + TarMemberBytes("0.cls", "\xff"))->item(0); });
}

TEST(WebDatasetTest, EveryCutIsAnErrorAndEveryFlippedByteAnErrorOrASet) {
  const TemporaryDirectory directory;
  const std::string valid = TarMemberBytes("0.png", "x") +
                            TarMemberBytes("0.json", R"({"label":"a"})") + std::string(512, '\0');
  const auto path = directory.path() / "a.tar";
  for (std::size_t size = 0; size < valid.size(); size += 37) {
    directory.Write("a.tar", valid.substr(0, size));
    EXPECT_THROW(OpenImageSet(path), Error) << size;
  }
  for (std::size_t i = 0; i < valid.size(); i += i % 512 < 345 ? 1 : 61) {
    std::string changed = valid;
    changed[i] = static_cast<char>(changed[i] ^ 0x55);
    for (std::size_t at = 0; at < 2048; at += 1024) {
      changed.replace(at, 512, WithChecksum(changed.substr(at, 512)));
    }
    directory.Write("a.tar", changed);
    try {
      const auto set = OpenImageSet(path);
      for (Index k = 0; k < set->size(); ++k) {
        set->Read(k);
        set->ReadMask(k);
        set->item(k);
      }
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
}

TEST(WebDatasetTest, IsReadFromManyThreads) {
  const TemporaryDirectory directory;
  std::string archive;
  for (int i = 0; i < 50; ++i) {
    const std::string key = std::to_string(i);
    archive += TarMemberBytes(key + ".png", key) +
               TarMemberBytes(key + ".json", "{\"label\":\"l" + key + "\"}");
  }
  const auto set = OpenImageSet(directory.Write("a.tar", archive + TarEnd()));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (Index i = 0; i < set->size(); ++i) {
        EXPECT_EQ(Text(set->Read(i)), std::to_string(i));
        EXPECT_EQ(set->item(i).label, "l" + std::to_string(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace cliplens
