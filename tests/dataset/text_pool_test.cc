#include "cliplens/dataset/text_pool.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include <gtest/gtest.h>

namespace cliplens {
namespace {

TEST(TextPoolTest, ReadsTextsAndProperties) {
  const TemporaryDirectory directory;
  const TextPool pool = ReadTextPool(directory.Write(
      "pool.txt", "\xef\xbb\xbf  a red car \t colour\r\n\r\n   \n\na caf\xc3\xa9\t\nlast one"));
  EXPECT_EQ(pool.name, "pool.txt");
  EXPECT_EQ(pool.texts, (std::vector<std::string>{"a red car", "a caf\xc3\xa9", "last one"}));
  EXPECT_EQ(pool.properties,
            (std::vector<std::optional<std::string>>{"colour", std::nullopt, std::nullopt}));
}

TEST(TextPoolTest, RefusesBadFiles) {
  const TemporaryDirectory directory;
  const auto read = [&](const std::string& content) {
    ReadTextPool(directory.Write("p.txt", content));
  };
  ExpectError(ErrorCode::kInvalidArgument, "p.txt: no texts in it; put one text on each line",
              [&] { read(""); });
  ExpectError(ErrorCode::kInvalidArgument, "no texts in it",
              [&] { read("\xef\xbb\xbf\n \r\n\t\n"); });
  ExpectError(ErrorCode::kCorruptData, "p.txt: line 3: byte 4 is not UTF-8",
              [&] { read("a\n\nabc\xff\n"); });
  ExpectError(ErrorCode::kCorruptData, "line 1", [&] {
    read(
        "\xff\xfe"
        "a");
  });
  ExpectError(ErrorCode::kCorruptData, "line 1: has a zero byte",
              [&] { read(std::string("a\0b", 3)); });
  ExpectError(ErrorCode::kInvalidArgument, "line 2: nothing stands before the tab",
              [&] { read("a\n\tcolour\n"); });
  ExpectError(ErrorCode::kInvalidArgument, "line 1: has more than one tab",
              [&] { read("a\tb\tc\n"); });
  ExpectError(ErrorCode::kNotFound, "gone.txt",
              [&] { ReadTextPool(directory.path() / "gone.txt"); });
}

TEST(TextPoolTest, LinesEndAsAnySystemEndsThem) {
  const TemporaryDirectory directory;
  const TextPool pool =
      ReadTextPool(directory.Write("p.txt", "a duck\ra dog\r\n\r\na cat\n\rlast"));
  EXPECT_EQ(pool.texts, (std::vector<std::string>{"a duck", "a dog", "a cat", "last"}));
  EXPECT_EQ(pool.lines, (std::vector<Index>{1, 2, 4, 6}));
  EXPECT_EQ(pool.blank, 2);
  EXPECT_EQ(ReadClassFile(directory.Write("c.txt", "x\ty\rz")).labels,
            (std::vector<std::string>{"y", "z"}));
}

TEST(TextLinesTest, AreWholeLines) {
  const TemporaryDirectory directory;
  const TextLines texts = ReadTextLines(directory.Write("t.txt", "a\tb\tc\n\n  x \n# y"));
  EXPECT_EQ(texts.texts, (std::vector<std::string>{"a\tb\tc", "  x ", "# y"}));
  EXPECT_EQ(texts.lines, (std::vector<Index>{1, 3, 4}));
  EXPECT_EQ(texts.blank, 1);
  ExpectError(ErrorCode::kCorruptData, "t.txt: line 2: byte 4 is not UTF-8 (0xe9, as Latin-1",
              [&] { ReadTextLines(directory.Write("t.txt", "x\rcaf\xe9\r")); });
  ExpectError(ErrorCode::kCorruptData, "t.txt: line 2: has a zero byte",
              [&] { ReadTextLines(directory.Write("t.txt", std::string("x\na\0", 4))); });
  ExpectError(ErrorCode::kCorruptData, "t.txt: line 1: begins with the mark of UTF-16", [&] {
    ReadTextLines(directory.Write("t.txt",
                                  "\xfe\xff"
                                  "a"));
  });
}

TEST(TextPoolTest, BlankLinesAreTold) {
  const TemporaryDirectory directory;
  const std::string path = directory.Write("p.txt", "\na {}\n \t\n").string();
  std::vector<std::string> told;
  const OnBlankLines on_blank = [&](const std::string& file, Index count) {
    EXPECT_EQ(count, 2);
    told.push_back(file);
  };
  EXPECT_EQ(ReadTextLines(path, on_blank).blank, 2);
  EXPECT_EQ(ReadTextPool(path, on_blank).blank, 2);
  ReadClassFile(path, on_blank);
  ReadTemplates(path, on_blank);
  EXPECT_EQ(told, std::vector<std::string>(4, path));
  ReadTextPool(directory.Write("q.txt", "a duck\n"), on_blank);
  EXPECT_EQ(told.size(), 4U);
}

TEST(TextPoolTest, BoundsTheSize) {
  const TemporaryDirectory directory;
  const auto path = directory.Write("p.txt", "");
  std::filesystem::resize_file(path, (256 << 20) + 1);  // sparse
  ExpectError(ErrorCode::kExhausted, "at most 268435456 are read", [&] { ReadTextPool(path); });
}

TEST(ClassFileTest, ReadsNamesAndLabels) {
  const TemporaryDirectory directory;
  const ClassFile classes =
      ReadClassFile(directory.Write("classes.txt", "tench\tn01440764\ngoldfish\r\n"));
  EXPECT_EQ(classes.name, "classes.txt");
  EXPECT_EQ(classes.names, (std::vector<std::string>{"tench", "goldfish"}));
  EXPECT_EQ(classes.labels, (std::vector<std::string>{"n01440764", "goldfish"}));
  // Two classes may share a name.
  EXPECT_EQ(ReadClassFile(directory.Write("c.txt", "crane\tbird\ncrane\tmachine")).names.size(),
            2u);
}

TEST(ClassFileTest, RefusesALabelGivenTwice) {
  const TemporaryDirectory directory;
  ExpectError(ErrorCode::kInvalidArgument,
              "c.txt: lines 1 and 3 both stand for the label \"duck\"; remove one",
              [&] { ReadClassFile(directory.Write("c.txt", "duck\n\nbird\tduck\n")); });
  ExpectError(ErrorCode::kInvalidArgument, "no classes in it",
              [&] { ReadClassFile(directory.Write("c.txt", "\n")); });
}

TEST(TemplatesTest, ReadsFilesAndNamedSets) {
  const TemporaryDirectory directory;
  EXPECT_EQ(ReadTemplates("simple"), std::vector<std::string>{"a photo of a {}."});
  const std::vector<std::string> imagenet = ReadTemplates("imagenet");
  EXPECT_EQ(imagenet.size(), 80u);
  EXPECT_EQ(imagenet.front(), "a bad photo of a {}.");
  EXPECT_EQ(imagenet.back(), "a tattoo of the {}.");
  EXPECT_EQ(std::set<std::string>(imagenet.begin(), imagenet.end()).size(), 80u);
  for (const std::string& pattern : imagenet) {
    EXPECT_EQ(pattern.find("{}"), pattern.rfind("{}")) << pattern;
    EXPECT_NE(pattern.find("{}"), std::string::npos) << pattern;
  }
  EXPECT_EQ(ReadTemplates(directory.Write("t.txt", "a {}.\r\n\nmy {}\t!").string()),
            (std::vector<std::string>{"a {}.", "my {}\t!"}));
}

TEST(TemplatesTest, RefusesBadFiles) {
  const TemporaryDirectory directory;
  ExpectError(ErrorCode::kNotFound, "name a file, \"imagenet\" or \"simple\"",
              [] { ReadTemplates("imagenett"); });
  ExpectError(ErrorCode::kInvalidArgument, "t.txt: line 2: \"a photo\" has no {}; put it",
              [&] { ReadTemplates(directory.Write("t.txt", "a {}\na photo\n").string()); });
  ExpectError(ErrorCode::kInvalidArgument, "no templates in it",
              [&] { ReadTemplates(directory.Write("t.txt", "").string()); });
}

TEST(FillTemplateTest, FillsEveryGap) {
  EXPECT_EQ(FillTemplate("a photo of a {}.", "duck"), "a photo of a duck.");
  EXPECT_EQ(FillTemplate("{} and {}", "{}"), "{} and {}");
  EXPECT_EQ(FillTemplate("{", "x"), "{");
  EXPECT_EQ(FillTemplate("", "x"), "");
}

TEST(TextPoolTest, EveryCutAndEveryFlippedByteIsAnErrorOrAPool) {
  const TemporaryDirectory directory;
  const std::string valid =
      "\xef\xbb\xbf"
      "a\tb\r\nc\xc3\xa9\n";
  for (std::size_t i = 0; i < valid.size(); ++i) {
    for (int mask = 0; mask < 256; ++mask) {
      std::string changed = mask == 0 ? valid.substr(0, i) : valid;
      if (mask != 0) changed[i] = static_cast<char>(changed[i] ^ mask);
      try {
        const TextPool pool = ReadTextPool(directory.Write("p.txt", changed));
        EXPECT_EQ(pool.texts.size(), pool.properties.size());
        EXPECT_FALSE(pool.texts.empty());
      } catch (const Error& error) {
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace cliplens
