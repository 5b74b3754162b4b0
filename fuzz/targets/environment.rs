//! Environment files of builds and packages: what is printed is read as the same.
#![no_main]

use ebd::processor::environment::Environment;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(environment) = Environment::parse(data) else {
        return;
    };
    let printed = environment.to_bash();
    let again = Environment::parse(&printed).expect("what it printed");
    assert_eq!(again.to_bash(), printed);
    for variable in environment.variables() {
        let there = again.variable(variable.name()).expect("the variable");
        assert_eq!(there.attributes(), variable.attributes());
        let scalar = |value: Option<ebd::processor::environment::Value<'_>>| {
            value.and_then(|value| value.scalar())
        };
        assert_eq!(scalar(there.value()), scalar(variable.value()));
    }
    assert_eq!(again.functions().count(), environment.functions().count());
});
