#include "cliplens/dataset/image_set.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/expect_error.h"
#include "tests/tar_builder.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cliplens/io/printable.h"

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

TEST(FolderTest, NamesThatAreNotUtf8ComeBack) {
  const TemporaryDirectory directory;
  directory.Write("\xe0/caf\xe9.png", "grave");
  directory.Write("\xe8/caf\xe9.png", "grave too");
  directory.Write("\xe8/caf\\xe9.png", "plain");
  directory.Write("\xe8/caf\xe9.mask.png", "mask");
  const auto set = OpenImageSet(directory.path());
  EXPECT_EQ(Paths(*set), (std::vector<std::string>{"\\xe0/caf\\xe9.png", "\\xe8/caf\\x5cxe9.png",
                                                   "\\xe8/caf\\xe9.png"}));
  EXPECT_EQ(set->item(0).label, "\\xe0");
  EXPECT_EQ(set->item(2).label, "\\xe8");
  EXPECT_EQ(Text(set->Read(0)), "grave");
  EXPECT_EQ(Text(set->Read(1)), "plain");
  EXPECT_EQ(Text(set->Read(2)), "grave too");
  EXPECT_EQ(Text(set->ReadMask(2).value()), "mask");
  const auto one = OpenImageSet(directory.path() / "\xe8/caf\xe9.png");
  EXPECT_EQ(one->item(0).path, "caf\\xe9.png");
  EXPECT_EQ(Text(one->Read(0)), "grave too");
  directory.Write("t/\xe9.tar", TarMemberBytes("\xff/1.png", "in a shard") + TarEnd());
  const auto shards = OpenImageSet(directory.path() / "t");
  EXPECT_EQ(shards->item(0).path, "\\xe9.tar/\\xff/1.png");
  EXPECT_EQ(Text(shards->Read(0)), "in a shard");
}

TEST(FolderTest, CountsWhatItPassesOver) {
  const TemporaryDirectory directory;
  for (const char* name : {"a.png", "b.xyz", "deep/c.XYZ", "notes.txt", "README", ".d.png",
                           ".DS_Store", "x.tar.gz", "long.abcdefghijklmnopqrstuvw"}) {
    directory.Write(name, "no picture");
  }
  directory.Write("bare", "\xff\xd8\xff\xe0 begins as a JPEG");
  ASSERT_EQ(::mkfifo((directory.path() / "pipe.png").c_str(), 0600), 0);
  const auto set = OpenImageSet(directory.path());
  EXPECT_EQ(Paths(*set), (std::vector<std::string>{"a.png", "bare"}));
  EXPECT_EQ(set->left_out().passed_over, (std::map<std::string, Index>{{".tar.gz", 1},
                                                                       {".txt", 1},
                                                                       {".xyz", 2},
                                                                       {"hidden picture", 1},
                                                                       {"no ending", 1},
                                                                       {"no file", 1},
                                                                       {"other endings", 1}}));
  EXPECT_EQ(LinesOf(set->left_out()),
            (std::vector<std::string>{
                "8 other files were passed over: .xyz 2, .tar.gz 1, .txt 1, hidden picture 1, no "
                "ending 1, no file 1, other endings 1"}));
}

TEST(FolderTest, CountsAnyNumberOfEndings) {
  const TemporaryDirectory directory;
  directory.Write("a.png", "x");
  for (int i = 0; i < 300; ++i) directory.Write("f.e" + std::to_string(i), "x");
  const auto counts = OpenImageSet(directory.path())->left_out().passed_over;
  EXPECT_LE(counts.size(), 65u);
  EXPECT_GE(counts.at("other endings"), 236);
}

TEST(FolderTest, FoldersOfSplitsHoldFoldersOfLabels) {
  const TemporaryDirectory directory;
  for (const char* name : {"train/cat/1.jpg", "train/dog/2.jpg", "valid/cat/3.jpg", "test/4.jpg"}) {
    directory.Write(name, name);
  }
  const auto set = OpenImageSet(directory.path());
  ASSERT_EQ(set->size(), 4);
  EXPECT_EQ(set->item(0).path, "test/4.jpg");
  EXPECT_EQ(set->item(0).label, std::nullopt);
  EXPECT_EQ(set->item(1).label, "cat");
  EXPECT_EQ(set->item(1).attributes["split"], "train");
  for (const char* split : {"val", "valid", "validation"}) {
    const auto part = OpenImageSet(directory.path(), {.split = split});
    EXPECT_EQ(Paths(*part), std::vector<std::string>{"valid/cat/3.jpg"});
    EXPECT_EQ(part->split(), split);
  }
  ExpectError(ErrorCode::kNotFound, "no picture is of the split 'x'; there are: test, train, valid",
              [&] { OpenImageSet(directory.path(), {.split = "x"}); });
  directory.Write("bus/5.jpg", "x");
  EXPECT_EQ(OpenImageSet(directory.path())->item(2).label, "train");
}

TEST(FolderTest, TablesTellOfPicturesAsInImageFolders) {
  const TemporaryDirectory directory;
  for (const char* name : {"1.png", "a/2.png", "a/3.png", "b/4.png"}) directory.Write(name, name);
  directory.Write("metadata.csv",
                  "file_name,label,text\n1.png,cat,one\n./a/2.png,dog,two\na/2.png,dog,again\n"
                  "gone.png,x,y\n");
  directory.Write("b/metadata.jsonl", "{\"file_name\":\"4.png\",\"n\":[1,null]}\n");
  directory.Write("b/metadata.parquet", "PAR1");
  const auto set = OpenImageSet(directory.path());
  ASSERT_EQ(set->size(), 4);
  EXPECT_EQ(set->item(0).label, "cat");
  EXPECT_EQ(set->item(1).label, "dog");
  EXPECT_EQ(set->item(1).attributes["text"], Json::array({"two", "again"}));
  EXPECT_EQ(set->item(2).label, "a");
  EXPECT_EQ(set->item(3).label, "b");
  EXPECT_EQ(set->item(3).attributes["n"], "[1,null]");
  const LeftOut left_out = set->left_out();
  EXPECT_EQ(left_out.passed_over, (std::map<std::string, Index>{{".parquet", 1}}));
  ASSERT_EQ(left_out.notes.size(), 3u);
  EXPECT_NE(left_out.notes[0].find("1 of 3 rows name no picture that is there"), std::string::npos);
  EXPECT_NE(left_out.notes[2].find("1 of 4 pictures have no row"), std::string::npos);
  std::filesystem::remove(directory.path() / "b/metadata.jsonl");
  ExpectError(ErrorCode::kCorruptData, "b/metadata.parquet: has 4 bytes",
              [&] { OpenImageSet(directory.path()); });
}

TEST(FolderTest, TheTableNearestToAPictureTellsOfIt) {
  const TemporaryDirectory directory;
  for (const char* name : {"cats/1.png", "zebras/2.png", "zebras/young/3.png"}) {
    directory.Write(name, name);
  }
  directory.Write("metadata.csv",
                  "file_name,label\ncats/1.png,root\nzebras/2.png,root\nzebras/young/3.png,root\n");
  directory.Write("cats/metadata.csv", "file_name,label\n1.png,cat\n");
  directory.Write("zebras/metadata.csv", "file_name,label\n2.png,zebra\nyoung/3.png,zebra\n");
  directory.Write("zebras/young/metadata.csv", "file_name,label\n3.png,foal\n");
  const auto set = OpenImageSet(directory.path());
  ASSERT_EQ(set->size(), 3);
  EXPECT_EQ(set->item(0).label, "cat");
  EXPECT_EQ(set->item(1).label, "zebra");
  EXPECT_EQ(set->item(2).label, "foal");
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
  ExpectError(ErrorCode::kInvalidArgument, "notes.txt: ends in neither .jpg",
              [&] { OpenImageSet(directory.Write("texts/notes.txt", "x")); });
  ExpectError(ErrorCode::kNotFound, "1 other file was passed over: .txt 1",
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

TEST(WebDatasetTest, AnArchiveThatIsCutOffWhileItIsInUseIsAnError) {
  const TemporaryDirectory directory;
  const auto path =
      directory.Write("a.tar", TarMemberBytes("0.png", "first") +
                                   TarMemberBytes("1.png", std::string(100'000, 'x')) + TarEnd());
  const auto set = OpenImageSet(path);
  std::filesystem::resize_file(path, 2'048);
  EXPECT_EQ(Text(set->Read(0)), "first");
  ExpectError(ErrorCode::kCorruptData, "a.tar: ends at byte 2048", [&] { set->Read(1); });
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
  ExpectError(ErrorCode::kCorruptData, "a.tar: \"0.png\" stands twice in it",
              [&] { open(picture + picture); });
  ExpectError(ErrorCode::kCorruptData, "\"0.json\" stands twice in it", [&] {
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

// webdataset's rule: the key ends at the first dot of the last part of the name.
TEST(WebDatasetTest, APictureMayHaveDotsInItsName) {
  const TemporaryDirectory directory;
  const auto set = OpenImageSet(directory.Write(
      "a.tar",
      TarMemberBytes("v1.0/22.05.png", "dated") + TarMemberBytes("v1.0/22.05.json", R"({"n":1})") +
          TarMemberBytes("s.left.jpg", "l") + TarMemberBytes("s.json", R"({"label":"both"})") +
          TarMemberBytes("s.right.JPG", "r") + TarMemberBytes("s.right.cls", "7") +
          TarMemberBytes("s.left.mask.png", "mask") + TarMemberBytes("two.png", "p") +
          TarMemberBytes("two.jpg", "j") + TarMemberBytes("two.txt", "one text") +
          TarMemberBytes("x.unmask.png", "no mask") + TarMemberBytes("lone.mask.png", "m") +
          TarMemberBytes("lone.left.json", "{}") + TarMemberBytes("clip.mp4", "v") + TarEnd()));
  EXPECT_EQ(Paths(*set), (std::vector<std::string>{"a.tar/v1.0/22.05.png", "a.tar/s.left.jpg",
                                                   "a.tar/s.right.JPG", "a.tar/two.png",
                                                   "a.tar/two.jpg", "a.tar/x.unmask.png"}));
  EXPECT_EQ(DumpJson(set->item(0).attributes), R"({"n":1})");
  EXPECT_EQ(set->item(1).label, "both");
  EXPECT_EQ(Text(set->ReadMask(1).value()), "mask");
  EXPECT_EQ(set->item(2).label, "both");
  EXPECT_EQ(set->ReadMask(2), std::nullopt);
  EXPECT_EQ(set->item(3).attributes["caption"], "one text");
  EXPECT_EQ(set->item(4).attributes["caption"], "one text");
  const LeftOut left_out = set->left_out();
  EXPECT_EQ(left_out.passed_over,
            (std::map<std::string, Index>{{".json", 1}, {".mp4", 1}, {".png", 1}}));
  ASSERT_EQ(left_out.notes.size(), 1u);
  EXPECT_NE(left_out.notes[0].find("2 keys with several pictures, \"s\" first"), std::string::npos)
      << left_out.notes[0];
}

TEST(WebDatasetTest, NumbersThatAreNoneAreNull) {
  const TemporaryDirectory directory;
  const auto set = OpenImageSet(directory.Write(
      "a.tar", TarMemberBytes("0.png", "x") +
                   TarMemberBytes("0.json", R"({"a":NaN,"b":[-Infinity,Infinity,1],"c":"NaN"})") +
                   TarEnd()));
  EXPECT_EQ(DumpJson(set->item(0).attributes), R"({"a":null,"b":[null,null,1],"c":"NaN"})");
}

TEST(WebDatasetTest, ATextBesideACaptionIsKept) {
  const TemporaryDirectory directory;
  const auto set = OpenImageSet(directory.Write(
      "a.tar", TarMemberBytes("0.png", "x") + TarMemberBytes("0.json", R"({"caption":"json"})") +
                   TarMemberBytes("0.txt", "text") + TarMemberBytes("1.png", "x") +
                   TarMemberBytes("1.json", R"({"caption":"same"})") +
                   TarMemberBytes("1.txt", "same\n") + TarEnd()));
  EXPECT_EQ(DumpJson(set->item(0).attributes), R"({"caption":"json","txt":"text"})");
  EXPECT_EQ(DumpJson(set->item(1).attributes), R"({"caption":"same"})");
}

TEST(WebDatasetTest, SkippingLosesAttributesAndNoPictures) {
  const TemporaryDirectory directory;
  const auto path =
      directory.Write("a.tar", TarMemberBytes("0.png", "x") + TarMemberBytes("0.json", "{x}") +
                                   TarMemberBytes("0.txt", "kept") + TarMemberBytes("1.png", "x") +
                                   TarMemberBytes("1.txt", "caf\xe9") +
                                   TarMemberBytes("1.cls", "3") + TarMemberBytes("2.png", "x") +
                                   TarMemberBytes("2.json", std::string((1 << 20) + 1, ' ')) +
                                   TarMemberBytes("2.png", "again") + TarEnd());
  EXPECT_THROW(OpenImageSet(path), Error);
  const auto set = OpenImageSet(path, {.on_error = OnError::kSkip});
  ASSERT_EQ(set->size(), 3);
  EXPECT_EQ(DumpJson(set->item(0).attributes), R"({"caption":"kept"})");
  EXPECT_NE(set->item(0).problem.find("a.tar/0.png: attributes"), std::string::npos);
  EXPECT_EQ(set->item(1).label, "3");
  EXPECT_NE(set->item(1).problem.find(".txt member is not UTF-8"), std::string::npos);
  EXPECT_EQ(set->item(2).problem, "");
  ASSERT_EQ(set->left_out().unread.size(), 2u);
  EXPECT_EQ(set->left_out().unread[0].path, "a.tar");
  EXPECT_NE(set->left_out().unread[1].message.find("\"2.png\" stands twice"), std::string::npos);
}

TEST(WebDatasetTest, SkippingReadsADamagedShardUpToTheDamage) {
  const TemporaryDirectory directory;
  const std::string members = TarMemberBytes("0.png", "a") + TarMemberBytes("1.png", "b") +
                              TarMemberBytes("2.png", std::string(2000, 'c'));
  directory.Write("s/0.tar", TarMemberBytes("0.png", "first") + TarEnd());
  directory.Write("s/1.tar", members.substr(0, 3000));
  std::string damaged = members + TarEnd();
  damaged[1024 + 3] = 'x';
  directory.Write("s/2.tar", damaged);
  directory.Write("s/3.tar", members);  // whole but for its end
  directory.Write("s/4.tar", "");
  EXPECT_THROW(OpenImageSet(directory.path() / "s"), Error);
  const auto set = OpenImageSet(directory.path() / "s", {.on_error = OnError::kSkip});
  EXPECT_EQ(Paths(*set),
            (std::vector<std::string>{"0.tar/0.png", "1.tar/0.png", "1.tar/1.png", "2.tar/0.png",
                                      "3.tar/0.png", "3.tar/1.png", "3.tar/2.png"}));
  const LeftOut left_out = set->left_out();
  ASSERT_EQ(left_out.unread.size(), 4u);
  EXPECT_EQ(left_out.unread[0].path, "1.tar");
  EXPECT_NE(left_out.unread[0].message.find("2 pictures before that place are read"),
            std::string::npos)
      << left_out.unread[0].message;
  ExpectError(ErrorCode::kCorruptData, "none of its pictures can be read",
              [&] { OpenImageSet(directory.path() / "s/4.tar", {.on_error = OnError::kSkip}); });
}

TEST(WebDatasetTest, RefusesPackedShardsByName) {
  const TemporaryDirectory directory;
  for (const char* name : {"a.tgz", "a.tar.gz", "a.tar.zst", "b.tar.bz2", "c.txz"}) {
    const auto path = directory.Write(std::string(name) + "/" + name, "\x1f\x8b no archive");
    for (const auto& place : {path, path.parent_path()}) {
      ExpectError(ErrorCode::kUnsupported, "is a packed shard", [&] { OpenImageSet(place); });
    }
  }
}

// Only headers are read, whatever the members and holes of a shard claim.
TEST(WebDatasetTest, ALargeSparseShardTakesNoMemory) {
  const TemporaryDirectory directory;
  const Index size = Index{1} << 32;
  std::string header = TarHeader("big.bin", 0);
  char digits[32];
  std::snprintf(digits, sizeof(digits), "%011llo", static_cast<unsigned long long>(size));
  header.replace(124, 11, digits, 11);
  const auto path = directory.Write("a.tar", TarMemberBytes("0.png", "x") + WithChecksum(header));
  std::filesystem::resize_file(path, static_cast<std::uintmax_t>(1536 + size));
  std::ofstream(path, std::ios::app) << TarMemberBytes("1.png", "y") + TarEnd();
  const auto set = OpenImageSet(path);
  EXPECT_EQ(set->size(), 2);
  EXPECT_EQ(Text(set->Read(1)), "y");
  std::filesystem::resize_file(path, std::uintmax_t{1} << 40);
  ExpectError(ErrorCode::kCorruptData, "more after the end marker", [&] { OpenImageSet(path); });
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
    for (const OnError on_error : {OnError::kStop, OnError::kSkip}) {
      try {
        const auto set = OpenImageSet(path, {.on_error = on_error});
        for (Index k = 0; k < set->size(); ++k) {
          set->Read(k);
          set->ReadMask(k);
          const Item item = set->item(k);
          EXPECT_TRUE(on_error == OnError::kSkip || item.problem.empty());
          EXPECT_EQ(FindInvalidUtf8(item.path), std::string::npos);
        }
        for (const std::string& line : LinesOf(set->left_out())) EXPECT_NE(line, "");
      } catch (const Error& error) {
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      }
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
