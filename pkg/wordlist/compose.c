/*
 * Marks above, below and through letters: with the letter before them they are one letter, or they are nothing.
 *
 * A letter with its mark may be written as one character or as two, so what is one in Unicode (canonical composition;
 * of small letters of Latin, Greek, Cyrillic, and kana) becomes that one: höra is another word than hora. Of several
 * marks any order is understood. A mark that makes no other letter is left out, as strokes through a word are, and
 * vowel points.
 */
#include "wordlist/wordlist_internal.h"

/** What becomes of a letter with a mark: of each character of @from the one at the same place of @to. */
static const struct {
    uint32_t mark;
    const wchar_t *from, *to;
} compositions[] = {
    {0x300, L"aeinouwyâêôüăēōơưеи", L"àèìǹòùẁỳầềồǜằḕṑờừѐѝ"},
    {0x301, L"acegiklmnoprsuwyz¨âåæçêïôõøüăēōũơưαεηιουωϊϋϒгк", L"áćéǵíḱĺḿńóṕŕśúẃýź΅ấǻǽḉếḯốṍǿǘắḗṓṹớứάέήίόύώΐΰϓѓќ"},
    {0x302, L"aceghijosuwyzạẹọ", L"âĉêĝĥîĵôŝûŵŷẑậệộ"},
    {0x303, L"aeinouvyâêôăơư", L"ãẽĩñõũṽỹẫễỗẵỡữ"},
    {0x304, L"aegiouyäæõöüǫȧȯиуḷṛ", L"āēḡīōūȳǟǣȭȫǖǭǡȱӣӯḹṝ"},
    {0x306, L"aegiouȩаежиуạ", L"ăĕğĭŏŭḝӑӗӂйўặ"},
    {0x307, L"abcdefghmnoprstwxyzśšſṣ", L"ȧḃċḋėḟġḣṁṅȯṗṙṡṫẇẋẏżṥṧẛṩ"},
    {0x308, L"aehiotuwxyõūιυϒаежзиоучыэіәө", L"äëḧïöẗüẅẍÿṏṻϊϋϔӓёӝӟӥӧӱӵӹӭїӛӫ"},
    {0x309, L"aeiouyâêôăơư", L"ảẻỉỏủỷẩểổẳởử"},
    {0x30a, L"auwy", L"åůẘẙ"},
    {0x30b, L"ouу", L"őűӳ"},
    {0x30c, L"acdeghijklnorstuzüʒ", L"ǎčďěǧȟǐǰǩľňǒřšťǔžǚǯ"},
    {0x30f, L"aeioruѵ", L"ȁȅȉȍȑȕѷ"},
    {0x311, L"aeioru", L"ȃȇȋȏȓȗ"},
    {0x31b, L"ouòóõùúũọỏụủ", L"ơườớỡừứữợởựử"},
    {0x323, L"abdehiklmnorstuvwyzâêôăơưṡ", L"ạḅḍẹḥịḳḷṃṇọṛṣṭụṿẉỵẓậệộặợựṩ"},
    {0x324, L"L", L"ṳ"},
    {0x325, L"a", L"ḁ"},
    {0x326, L"st", L"șț"},
    {0x327, L"cdeghklnrstćĕ", L"çḑȩģḩķļņŗşţḉḝ"},
    {0x328, L"aeiouō", L"ąęįǫųǭ"},
    {0x32d, L"delntu", L"ḓḙḽṋṱṷ"},
    {0x32e, L"h", L"ḫ"},
    {0x330, L"eiu", L"ḛḭṵ"},
    {0x331, L"bdhklnrtz", L"ḇḏẖḵḻṉṟṯẕ"},
    {0x3099, L"うかきくけこさしすせそたちつてとはひふへほゝウカキクケコサシスセソタチツテトハヒフヘホワヰヱヲヽ",
     L"ゔがぎぐげござじずぜぞだぢづでどばびぶべぼゞヴガギグゲゴザジズゼゾダヂヅデドバビブベボヷヸヹヺヾ"},
    {0x309a, L"はひふへほハヒフヘホ", L"ぱぴぷぺぽパピプペポ"},
};

bool wordlist_is_mark(uint32_t c)
{
    return (c >= 0x300 && c <= 0x36f) || (c >= 0x483 && c <= 0x489) || /* Latin, Greek, Cyrillic */
           (c >= 0x591 && c <= 0x5c7 && c != 0x5be && c != 0x5c0 && c != 0x5c3 && c != 0x5c6) || /* Hebrew */
           (c >= 0x64b && c <= 0x65f) || c == 0x640 || c == 0x670 ||                             /* Arabic */
           (c >= 0x1ab0 && c <= 0x1aff) || (c >= 0x1dc0 && c <= 0x1dff) || (c >= 0x20d0 && c <= 0x20ff) ||
           c == 0x3099 || c == 0x309a || (c >= 0xfe20 && c <= 0xfe2f);
}

uint32_t wordlist_compose(uint32_t letter, uint32_t mark)
{
    for (size_t i = 0; i < BASE_ARRAY_SIZE(compositions); i++) {
        if (compositions[i].mark != mark)
            continue;
        for (size_t k = 0; compositions[i].from[k]; k++)
            if ((uint32_t)compositions[i].from[k] == letter)
                return (uint32_t)compositions[i].to[k];
    }
    return 0;
}
