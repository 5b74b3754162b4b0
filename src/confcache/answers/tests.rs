use std::fs;

use super::super::facts::Asked;
use super::*;

fn fact(path: &Path) -> Fact {
    let asked = Asked {
        content: true,
        ..Asked::default()
    };
    Fact::look(path, asked, None, &Rules::default())
}

fn lesson(key: u8, facts: Vec<Fact>, defines: Vec<Vec<u8>>) -> Lesson {
    let texts = facts.iter().map(|fact| fact.path().to_owned()).collect();
    Lesson {
        key: [key; 32],
        variable: format!("ac_cv_{key}"),
        given: vec![Given::new("variable CC", b"gcc")],
        facts,
        local: Vec::new(),
        texts,
        sources: Vec::new(),
        defines,
        code: b"ac_cv=yes\n".to_vec(),
        made: Vec::new(),
        bound: Bound::default(),
        took: 5,
    }
}

#[test]
fn answers_come_back_as_long_as_what_they_depend_on_is_the_same() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = tmp.path().join("answers");
    let (one, two) = (tmp.path().join("one.h"), tmp.path().join("two.h"));
    fs::write(&one, "ONE\n").unwrap();
    fs::write(&two, "TWO\n").unwrap();
    let own = Names::of(b"OWN");
    let rules = Rules::default();
    let given = [Given::new("variable CC", b"gcc")];
    let question = |key: u8, defines: &'static str| Question {
        key: [key; 32],
        variable: if key == 1 { "ac_cv_1" } else { "ac_cv_2" },
        given: &given,
        directory: Path::new("/"),
        build: None,
        defines: defines.as_bytes(),
        own: Some(&own),
        lines: 0,
    };
    let texts = "#define ONE 1\n#define X 1\n";
    let (mut answers, _) = Answers::read(&folder, None);
    for (key, path) in [(1, &one), (2, &two)] {
        let sum = answers
            .defines(&question(key, texts), std::slice::from_ref(path))
            .unwrap();
        answers.learn(lesson(key, vec![fact(path)], sum));
    }
    assert_eq!(
        answers.find(&question(1, texts), &rules).unwrap().code,
        b"ac_cv=yes\n"
    );
    answers.keep().unwrap();
    let read = || {
        let (answers, damaged) = Answers::read(&folder, None);
        assert_eq!(damaged, Vec::<PathBuf>::new());
        answers
    };
    let mut answers = read();
    assert!(answers.find(&question(1, texts), &rules).is_ok());
    // Definitions that do not matter may be others, those that do may not.
    let other = "#define ONE 1\n#define X 2\n";
    assert!(answers.find(&question(1, other), &rules).is_ok());
    let other = "#define ONE 2\n#define X 1\n";
    assert_eq!(
        answers.find(&question(1, other), &rules).unwrap_err(),
        Miss::Defines(vec!["ONE".to_owned()])
    );
    assert!(answers.find(&question(2, other), &rules).is_ok());
    // What changed takes with it only what depends on it.
    fs::write(&one, "ONE, changed\n").unwrap();
    let mut answers = read();
    assert!(matches!(
        answers.find(&question(1, texts), &rules),
        Err(Miss::Broken(_))
    ));
    assert!(answers.find(&question(2, texts), &rules).is_ok());
    assert_eq!(
        answers.find(&question(3, texts), &rules).unwrap_err(),
        Miss::Different(vec![])
    );
    // Damage is seen.
    let path = files(&folder).remove(0);
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(unpack(&damaged).is_none(), "{at}");
        assert!(unpack(&bytes[..at]).is_none(), "{at}");
    }
    fs::write(&path, &bytes[1..]).unwrap();
    assert_eq!(Answers::read(&folder, None).1, [path]);
}

#[test]
fn as_many_are_read_as_there_is_room_for() {
    let (tmp, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (key, age) in [(1, 3), (2, 1), (3, 2)] {
        let (mut answers, _) = Answers::read(tmp.path(), Some(new.path()));
        answers.learn(lesson(key, Vec::new(), Vec::new()));
        answers.keep().unwrap();
        let [path] = &files(new.path())[..] else {
            panic!("one file is written");
        };
        let time = filetime::FileTime::from_unix_time(1_000 - age, 0);
        let moved = tmp.path().join(path.file_name().unwrap());
        fs::rename(path, &moved).unwrap();
        filetime::set_file_mtime(&moved, time).unwrap();
    }
    let sizes = files(tmp.path()).into_iter();
    let most = sizes.map(|path| path.metadata().unwrap().len()).max();
    let known = |limit: u64| {
        let (answers, _) = Answers::read_within(tmp.path(), None, limit);
        let keys: Vec<u8> = (1..=3)
            .filter(|key| answers.by_key.contains_key(&[*key; 32]))
            .collect();
        keys
    };
    let most = most.unwrap();
    assert_eq!(known(most * 3), [1, 2, 3]);
    assert_eq!(known(most * 2), [2, 3]);
    assert_eq!(known(most), [2]);
    assert!(known(1).is_empty());
}
